// SPDX-License-Identifier: Apache-2.0
#include "cli/node_files.h"

#include <cerrno>
#include <fstream>
#include <iostream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "target/fact_formats.h"

namespace orch::cli {

using nlohmann::json;

absl::StatusOr<std::string> ReadInput(const std::string& path) {
  std::ifstream file;
  if (path != "-") {
    file.open(path, std::ios::binary);
    if (!file) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  }
  std::istream& in = path == "-" ? std::cin : file;
  std::string text;
  char block[1 << 16];
  while (in.read(block, sizeof block) || in.gcount() > 0) {
    text.append(block, in.gcount());
    if (text.size() > kFactsTextMax) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": larger than ", kFactsTextMax, " bytes"));
    }
  }
  if (in.bad()) return absl::InvalidArgumentError(absl::StrCat(path, ": can't be read"));
  return text;
}

absl::StatusOr<json> ParseFacts(const std::string& path, const std::string& text) {
  const absl::string_view start = absl::StripLeadingAsciiWhitespace(text);
  if (start.empty()) return absl::InvalidArgumentError("it is empty");
  if (absl::EndsWith(path, ".txt")) return target::ParseTextFacts(text);
  if (absl::EndsWith(path, ".json")) return target::ParseJsonFacts(text);
  const bool yaml = absl::EndsWith(path, ".yaml") || absl::EndsWith(path, ".yml");
  if (yaml || (start[0] != '{' && start[0] != '[')) return target::ParseYamlFacts(text);
  return target::ParseJsonFacts(text);
}

}  // namespace orch::cli
