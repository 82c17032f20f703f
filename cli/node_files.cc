// SPDX-License-Identifier: Apache-2.0
#include "cli/node_files.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iostream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace orch::cli {
namespace {

using nlohmann::json;

absl::StatusOr<json> ParseJson(const std::string& text) {
  bool deep = false;
  const auto watch = [&deep](int depth, json::parse_event_t, json&) {
    deep |= depth > kFactsDepthMax;
    return !deep;
  };
  try {
    json facts = json::parse(text, watch);
    if (deep) return absl::InvalidArgumentError("nested too deeply");
    return facts;
  } catch (const json::exception& error) {
    if (deep) return absl::InvalidArgumentError("nested too deeply");
    // `[json.exception.parse_error.101] parse error at line 3, column 7: …`
    const absl::string_view what = error.what();
    return absl::InvalidArgumentError(
        absl::StrCat("not JSON: ", what.substr(std::min(what.find("] ") + 2, what.size()))));
  }
}

// Plain scalars are typed as JSON would type them, quoted ones are text.
json Scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return text;
  if (text == "null" || text == "~" || text.empty()) return nullptr;
  if (text == "true" || text == "false") return text == "true";
  const bool octal = absl::StartsWith(text, "0") && text.size() > 1 && absl::ascii_isdigit(text[1]);
  const bool number = !octal && (absl::ascii_isdigit(text[0]) || text[0] == '-');
  const json value = number ? json::parse(text, nullptr, false) : json(text);
  return value.is_number() ? value : json(text);
}

absl::StatusOr<json> Convert(const YAML::Node& node, int depth, size_t* values) {
  if (depth > kFactsDepthMax) return absl::InvalidArgumentError("nested too deeply");
  // Aliases count as often as they are used.
  if (++*values > kFactValuesMax) return absl::InvalidArgumentError("too many values");
  if (node.IsScalar()) return Scalar(node);
  if (node.IsSequence()) {
    json out = json::array();
    for (const YAML::Node& element : node) {
      ORCH_ASSIGN_OR_RETURN(json value, Convert(element, depth + 1, values));
      out.push_back(std::move(value));
    }
    return out;
  }
  if (!node.IsMap()) return json();
  json out = json::object();
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) return absl::InvalidArgumentError("a key that is no text");
    ORCH_ASSIGN_OR_RETURN(out[entry.first.Scalar()], Convert(entry.second, depth + 1, values));
  }
  return out;
}

absl::StatusOr<json> ParseYaml(const std::string& text) {
  try {
    size_t values = 0;
    return Convert(YAML::Load(text), 0, &values);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("not YAML: ", error.what()));
  }
}

bool IsUtf8(const json& value) {
  try {
    (void)value.dump();
    return true;
  } catch (const json::exception&) {
    return false;
  }
}

}  // namespace

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

absl::StatusOr<json> ParseFacts(const std::string& text) {
  const absl::string_view start = absl::StripLeadingAsciiWhitespace(text);
  if (start.empty()) return absl::InvalidArgumentError("it is empty");
  const bool is_json = absl::StartsWith(start, "{") || absl::StartsWith(start, "[");
  ORCH_ASSIGN_OR_RETURN(json facts, is_json ? ParseJson(text) : ParseYaml(text));
  if (!facts.is_object()) return absl::InvalidArgumentError("neither a JSON object nor a mapping");
  if (!is_json && !IsUtf8(facts)) return absl::InvalidArgumentError("not UTF-8");
  return facts;
}

std::vector<std::string> ParseClasses(absl::string_view text) {
  std::vector<std::string> out;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (!line.empty() && line[0] != '#') out.emplace_back(line);
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace orch::cli
