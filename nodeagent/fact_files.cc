// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/fact_files.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/config.h"
#include "base/status.h"
#include "nodeagent/facts.h"

namespace orch::nodeagent {
namespace {

using nlohmann::json;

bool IsDecimal(absl::string_view text, bool* fraction) {
  *fraction = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  const size_t dot = text.find('.');
  const absl::string_view whole = text.substr(0, dot);
  if (whole.empty() || (whole.size() > 1 && whole[0] == '0')) return false;
  if (!std::all_of(whole.begin(), whole.end(), absl::ascii_isdigit)) return false;
  if (dot == absl::string_view::npos) return true;
  *fraction = true;
  const absl::string_view rest = text.substr(dot + 1);
  return !rest.empty() && std::all_of(rest.begin(), rest.end(), absl::ascii_isdigit);
}

json ScalarOf(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  // Quoted, or tagged as text.
  if (node.Tag() != "?" && !node.Tag().empty()) return text;
  if (text == "true") return true;
  if (text == "false") return false;
  if (text == "~" || text == "null" || text.empty()) return nullptr;
  bool fraction = false;
  int64_t integer = 0;
  double number = 0;
  if (!IsDecimal(text, &fraction)) return text;
  if (!fraction && absl::SimpleAtoi(text, &integer)) return integer;
  if (fraction && absl::SimpleAtod(text, &number)) return number;
  return text;
}

absl::StatusOr<json> Convert(const YAML::Node& node, int depth, size_t* values) {
  if (depth > kFactsDepthMax) return absl::InvalidArgumentError("nested too deeply");
  if (++*values > kFactValuesMax) return absl::InvalidArgumentError("too many values");
  if (node.IsNull() || !node.IsDefined()) return json();
  if (node.IsScalar()) return ScalarOf(node);
  if (node.IsSequence()) {
    json array = json::array();
    for (const YAML::Node& element : node) {
      ORCH_ASSIGN_OR_RETURN(json value, Convert(element, depth + 1, values));
      array.push_back(std::move(value));
    }
    return array;
  }
  json object = json::object();
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) return absl::InvalidArgumentError("a key that is no text");
    const std::string& key = entry.first.Scalar();
    if (object.contains(key)) return absl::InvalidArgumentError(absl::StrCat("two keys ", key));
    ORCH_ASSIGN_OR_RETURN(object[key], Convert(entry.second, depth + 1, values));
  }
  return object;
}

absl::StatusOr<json> ParseTextFacts(const std::string& text) {
  json facts = json::object();
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    const size_t equals = line.find('=');
    if (equals == absl::string_view::npos || equals == 0) {
      return absl::InvalidArgumentError(absl::StrCat("no `name=value`: ", line.substr(0, 80)));
    }
    facts[std::string(absl::StripAsciiWhitespace(line.substr(0, equals)))] =
        std::string(absl::StripAsciiWhitespace(line.substr(equals + 1)));
  }
  return facts;
}

bool IsText(const json& facts) {
  // Dumping is what checks UTF-8.
  try {
    return !facts.dump().empty();
  } catch (const json::exception&) {
    return false;
  }
}

void RemoveAt(json* facts, const std::vector<std::string>& path, size_t from) {
  if (!facts->is_object()) return;
  if (from + 1 == path.size()) {
    if (path[from] == "*") {
      facts->clear();
    } else {
      facts->erase(path[from]);
    }
    return;
  }
  for (auto& [key, value] : facts->items()) {
    if (path[from] == "*" || path[from] == key) RemoveAt(&value, path, from + 1);
  }
}

}  // namespace

absl::StatusOr<json> ParseYamlFacts(const std::string& text) {
  try {
    size_t values = 0;
    return Convert(YAML::Load(text), 0, &values);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(error.what());
  }
}

absl::StatusOr<json> ParseJsonFacts(const std::string& text) {
  bool deep = false;
  const auto watch = [&deep](int depth, json::parse_event_t, json&) {
    deep |= depth > kFactsDepthMax;
    return !deep;
  };
  json facts = json::parse(text, watch, false);
  if (deep) return absl::InvalidArgumentError("nested too deeply");
  if (facts.is_discarded()) return absl::InvalidArgumentError("not JSON");
  return facts;
}

absl::StatusOr<json> ReadFactsFile(const std::string& path, size_t max) {
  ORCH_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(path, max));
  absl::StatusOr<json> facts = absl::EndsWith(path, ".txt")    ? ParseTextFacts(text)
                               : absl::EndsWith(path, ".json") ? ParseJsonFacts(text)
                                                               : ParseYamlFacts(text);
  if (!facts.ok()) return base::Annotate(facts.status(), path);
  if (facts->is_null()) return json::object();
  if (!facts->is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": facts are a mapping"));
  }
  if (!IsText(*facts)) return absl::InvalidArgumentError(absl::StrCat(path, ": not UTF-8"));
  return facts;
}

absl::StatusOr<std::vector<std::string>> FactFilesIn(const std::string& directory) {
  std::error_code error;
  std::vector<std::string> files;
  for (std::filesystem::directory_iterator file(directory, error), end; !error && file != end;
       file.increment(error)) {
    const std::string extension = file->path().extension();
    if (extension != ".json" && extension != ".yaml" && extension != ".yml" &&
        extension != ".txt") {
      continue;
    }
    if (files.size() >= kFactFilesMax) {
      return absl::ResourceExhaustedError(absl::StrCat(directory, ": too many files"));
    }
    files.push_back(file->path());
  }
  if (error) {
    return absl::NotFoundError(absl::StrCat("read ", directory, ": ", error.message()));
  }
  std::sort(files.begin(), files.end());
  return files;
}

absl::StatusOr<std::vector<std::string>> ReadClasses(const std::string& path) {
  ORCH_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(path, kClassesFileMax));
  std::vector<std::string> classes;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    if (classes.size() >= kClassesMax) {
      return absl::ResourceExhaustedError(absl::StrCat(path, ": too many classes"));
    }
    if (!IsText(json(std::string(line)))) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": not UTF-8"));
    }
    classes.emplace_back(line);
  }
  std::sort(classes.begin(), classes.end());
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
  return classes;
}

void RemoveFact(json* facts, const std::string& pattern) {
  RemoveAt(facts, absl::StrSplit(pattern, '.'), 0);
}

std::vector<std::string> DefaultVolatileFacts() {
  return {"system_uptime",
          "uptime",
          "uptime_days",
          "uptime_hours",
          "uptime_seconds",
          "load_averages",
          "memory",
          "memoryfree",
          "memoryfree_mb",
          "swapfree",
          "swapfree_mb",
          "mountpoints.*.available",
          "mountpoints.*.available_bytes",
          "mountpoints.*.capacity",
          "mountpoints.*.used",
          "mountpoints.*.used_bytes"};
}

}  // namespace orch::nodeagent
