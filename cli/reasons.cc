// SPDX-License-Identifier: Apache-2.0
#include "cli/reasons.h"

#include <map>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/errors_text.h"

namespace orch::cli {
namespace {

// The rows of the tables in docs/errors.md by reason, without Markdown's backquotes.
const std::map<std::string, std::string>& Entries() {
  static const auto* const entries = [] {
    auto* out = new std::map<std::string, std::string>;
    for (absl::string_view line : absl::StrSplit(kErrorsText, '\n')) {
      if (!absl::StartsWith(line, "| `")) continue;
      std::vector<std::string> cells = absl::StrSplit(absl::StrReplaceAll(line, {{"`", ""}}), '|');
      for (std::string& cell : cells) cell = std::string(absl::StripAsciiWhitespace(cell));
      if (cells.size() < 5) continue;
      // | reason, reason | code or outcome | what happened | what to do |
      std::string text = absl::StrCat(cells[1], " (", cells[2], ")\n", cells[3]);
      if (cells.size() > 5) absl::StrAppend(&text, "\nWhat to do: ", cells[4]);
      for (absl::string_view reason : absl::StrSplit(cells[1], ", ")) out->emplace(reason, text);
    }
    return out;
  }();
  return *entries;
}

}  // namespace

std::string ExplainReason(const std::string& reason) {
  const auto it = Entries().find(reason);
  return it == Entries().end() ? "" : it->second;
}

std::string KnownReasons() {
  std::string out;
  for (const auto& [reason, text] : Entries())
    absl::StrAppend(&out, out.empty() ? "" : ", ", reason);
  return out;
}

}  // namespace orch::cli
