// SPDX-License-Identifier: Apache-2.0
#include "target/fact_formats.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/text.h"

namespace orch::target {
namespace {

using nlohmann::json;

constexpr size_t kQuotedMax = 80;
constexpr size_t kClassMax = 1000;
// Of Windows' editors; no part of the first line.
constexpr absl::string_view kByteOrderMark = "\xef\xbb\xbf";

// What every reader here begins with: without a byte order mark, and with each byte that is no
// UTF-8 replaced by U+FFFD, so that one odd byte costs one fact and not its source. `*kept` holds
// what had to be made.
absl::string_view AsText(absl::string_view text, std::string* kept) {
  absl::ConsumePrefix(&text, kByteOrderMark);
  if (base::IsUtf8(text)) return text;
  *kept = base::ToUtf8(text, std::numeric_limits<size_t>::max());
  return *kept;
}

// Whether a line begins as JSON does. Then it is not among lines `name=value` that it stands.
absl::string_view FindJsonLine(absl::string_view text) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (!line.empty() && (line[0] == '{' || line[0] == '[')) return line;
  }
  return "";
}

// `name=value` rather than `name: value`: the sign comes first.
bool IsAssignment(absl::string_view line) {
  const size_t equals = line.find('=');
  return equals != absl::string_view::npos && equals > 0 && line[0] != '"' && line[0] != '\'' &&
         line.find(": ") > equals;
}

absl::string_view FirstLine(absl::string_view text) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (!line.empty() && line[0] != '#') return line;
  }
  return "";
}

absl::StatusOr<json> ParseLines(absl::string_view text, bool strict) {
  json facts = json::object();
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    number++;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    const size_t equals = line.find('=');
    if (equals != absl::string_view::npos && equals > 0) {
      facts[std::string(absl::StripAsciiWhitespace(line.substr(0, equals)))] =
          std::string(absl::StripAsciiWhitespace(line.substr(equals + 1)));
    } else if (strict) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, ": no `name=value`: ", base::CutUtf8(line, kQuotedMax)));
    }
    if (facts.size() > kFactValuesMax) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", kFactValuesMax, " values"));
    }
  }
  return facts;
}

// `[json.exception.parse_error.101] parse error at line 1, column 2: …`: without the first part.
std::string Words(const json::exception& error) {
  absl::string_view words = error.what();
  const size_t end = words.find("] ");
  if (end != absl::string_view::npos) words.remove_prefix(end + 2);
  if (words.size() <= 3 * kQuotedMax) return std::string(words);
  return absl::StrCat(base::CutUtf8(words, 3 * kQuotedMax), "…");
}

// `recipe[apache2::mod_ssl@1.2]` is `recipe.apache2::mod_ssl`; empty if it is no such entry.
std::string AsMCollective(absl::string_view entry) {
  if (!absl::ConsumeSuffix(&entry, "]")) return "";
  for (const absl::string_view kind : {"recipe", "role"}) {
    absl::string_view name = entry;
    if (!absl::ConsumePrefix(&name, kind) || !absl::ConsumePrefix(&name, "[")) continue;
    name = name.substr(0, name.find('@'));
    return name.empty() ? "" : absl::StrCat(kind, ".", name);
  }
  return "";
}

}  // namespace

absl::StatusOr<json> ParseJsonFacts(absl::string_view text) {
  std::string kept;
  text = AsText(text, &kept);
  if (absl::StripAsciiWhitespace(text).empty()) {
    return absl::InvalidArgumentError("empty: not even a JSON object");
  }
  const char* excess = nullptr;
  size_t values = 0;
  const auto watch = [&](int depth, json::parse_event_t event, json&) {
    if (depth > kFactsDepthMax) excess = "nested more than 24 levels deep";
    const bool value = event == json::parse_event_t::value ||
                       event == json::parse_event_t::object_start ||
                       event == json::parse_event_t::array_start;
    if (value && ++values > kFactValuesMax) excess = "more than 200,000 values";
    return excess == nullptr;
  };
  json facts;
  try {
    facts = json::parse(text.begin(), text.end(), watch);
  } catch (const json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("not JSON: ", Words(error)));
  }
  if (excess != nullptr) return absl::InvalidArgumentError(excess);
  if (!facts.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("facts are a JSON object, this is ", facts.type_name()));
  }
  return facts;
}

absl::StatusOr<json> ParseTextFacts(absl::string_view text) {
  std::string kept;
  text = AsText(text, &kept);
  return ParseLines(text, /*strict=*/true);
}

absl::StatusOr<json> ParsePrintedFacts(absl::string_view output) {
  std::string kept;
  output = AsText(output, &kept);
  const absl::string_view first = FirstLine(output);
  if (first.empty()) return json::object();
  if (first[0] == '{') {
    absl::StatusOr<json> facts = ParseJsonFacts(output);
    if (facts.ok()) return facts;
    // A flow mapping of YAML begins so too; of both errors JSON's is the one to be told.
    const absl::StatusOr<json> yaml = ParseYamlFacts(std::string(output));
    return yaml.ok() ? yaml : facts;
  }
  if (first[0] == '[') return ParseJsonFacts(output);
  absl::StatusOr<json> yaml = absl::InvalidArgumentError("no facts");
  if (!IsAssignment(first)) {
    yaml = ParseYamlFacts(std::string(output));
    if (yaml.ok()) return yaml;
  }
  // A reader that passes over what it does not know must not be the last resort of what was meant
  // for a strict one: a `=` somewhere in JSON would be a fact, and the facts would be gone.
  if (const absl::string_view line = FindJsonLine(output); !line.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("not JSON: before it stands `", base::CutUtf8(first, kQuotedMax), "`"));
  }
  const absl::StatusOr<json> lines = ParseLines(output, /*strict=*/false);
  if (IsAssignment(first) || (lines.ok() && !lines->empty())) return lines;
  return yaml;
}

absl::StatusOr<std::vector<std::string>> ParseClasses(absl::string_view text) {
  std::string kept;
  text = AsText(text, &kept);
  std::vector<std::string> classes;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    number++;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    if (line.size() > kClassMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, ": a class of ", line.size(), " bytes"));
    }
    classes.emplace_back(line);
    if (std::string name = AsMCollective(line); !name.empty()) classes.push_back(std::move(name));
    if (classes.size() > kClassesMax) {
      return absl::ResourceExhaustedError(absl::StrCat("more than ", kClassesMax, " classes"));
    }
  }
  std::sort(classes.begin(), classes.end());
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
  return classes;
}

}  // namespace orch::target
