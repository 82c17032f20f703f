// SPDX-License-Identifier: Apache-2.0

// Whatever orchctl prints can be given back to it, so the format is told by the content and not by
// a flag, and identities are found by the shape of the JSON and not by the kind of message. Only
// nodes that took part are taken: after a discovery or a run the silent ones stand in the same
// file, and giving the file back must not include them. A file that names nobody is an error,
// because an empty list would mean everybody to the API. YAML's aliases are counted each time that
// they are used.

#include "cli/nodes_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/ids.h"
#include "base/status.h"
#include "base/text.h"
#include "orch/v1/job.pb.h"

namespace orch::cli {
namespace {

using nlohmann::json;

// Values in a YAML file, aliases counted each time: they could stand for any number.
constexpr int kYamlValuesMax = 5'000'000;
constexpr int kYamlDepthMax = 64;
// How deep what orchctl prints is nested at most, and room; deeper is not ours.
constexpr int kJsonDepthMax = 64;
// How much of what is no name an error repeats.
constexpr size_t kQuotedMax = 80;

// A state in which a node has been heard in its job.
bool TookPart(const std::string& state) {
  orch::v1::NodeState known = orch::v1::NODE_STATE_UNSPECIFIED;
  if (!orch::v1::NodeState_Parse(state, &known)) return true;
  switch (known) {
    case orch::v1::NODE_STATE_PENDING:
    case orch::v1::NODE_STATE_SENT:
    case orch::v1::NODE_STATE_NO_RESPONSE:
    case orch::v1::NODE_STATE_CANCELLED:
      return false;
    default:
      return true;
  }
}

// Takes identities out of anything that orchctl printed: `identity` of nodes, `node` of a job's
// nodes with their `state`, or plain strings in a list. What is said of a node last counts, as in a
// job's events.
class Collector {
 public:
  // InvalidArgument: it is nested too deep.
  absl::Status Take(const json& value) {
    Take(value, false, 0);
    if (!too_deep_) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("nested deeper than ", kJsonDepthMax, " levels: not an earlier result"));
  }
  std::set<std::string> names() const {
    std::set<std::string> out;
    for (const auto& [name, taken] : names_) {
      if (taken) out.insert(name);
    }
    return out;
  }

 private:
  static const std::string* Text(const json& object, const char* key) {
    const auto it = object.find(key);
    return it == object.end() ? nullptr : it->get_ptr<const std::string*>();
  }
  void Take(const json& value, bool in_list, int depth) {
    if (depth > kJsonDepthMax) {
      too_deep_ = true;
    } else if (value.is_string() && in_list) {
      names_[value.get<std::string>()] = true;
    } else if (value.is_array()) {
      for (const json& element : value) Take(element, true, depth + 1);
    } else if (value.is_object()) {
      TakeObject(value, depth);
    }
  }
  void TakeObject(const json& object, int depth) {
    if (const std::string* identity = Text(object, "identity")) {
      names_[*identity] = true;
      return;
    }
    if (const std::string* node = Text(object, "node")) {
      const std::string* state = Text(object, "state");
      if (state != nullptr) names_[*node] = TookPart(*state);
      // Progress has no state, and is heard of the node itself.
      if (state == nullptr) names_[*node] = true;
      return;
    }
    // Only where nodes are: silent ones of a discovery are not meant, nor whom a job began with.
    for (const char* key : {"nodes", "node", "progress"}) {
      if (object.contains(key)) Take(object[key], std::string(key) == "nodes", depth + 1);
    }
  }

  std::map<std::string, bool> names_;
  bool too_deep_ = false;
};

absl::StatusOr<std::set<std::string>> FromText(const std::string& content) {
  std::set<std::string> out;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(content, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    if (!base::IsIdentity(line)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "line ", number, ": `", base::CutUtf8(line, kQuotedMax), "` is not a node's identity"));
    }
    out.insert(std::string(line));
  }
  return out;
}

absl::StatusOr<std::set<std::string>> FromJson(const std::string& content) {
  Collector collector;
  const json whole = json::parse(content, nullptr, false);
  if (!whole.is_discarded()) {
    ORCH_RETURN_IF_ERROR(collector.Take(whole));
    return collector.names();
  }
  int number = 0;
  for (absl::string_view line : absl::StrSplit(content, '\n')) {
    ++number;
    if (absl::StripAsciiWhitespace(line).empty()) continue;
    const json one = json::parse(line.begin(), line.end(), nullptr, false);
    if (one.is_discarded()) {
      return absl::InvalidArgumentError(absl::StrCat("line ", number, ": not JSON"));
    }
    ORCH_RETURN_IF_ERROR(collector.Take(one));
  }
  return collector.names();
}

// The value as JSON; scalars as strings, which is all that is looked for. Null: there is too much.
json OfYaml(const YAML::Node& node, int depth, int* budget) {
  if (--*budget < 0 || depth > kYamlDepthMax) return nullptr;
  if (node.IsScalar()) return node.Scalar();
  if (node.IsSequence()) {
    json out = json::array();
    for (const YAML::Node& element : node) out.push_back(OfYaml(element, depth + 1, budget));
    return out;
  }
  json out = json::object();
  if (!node.IsMap()) return out;
  for (const auto& entry : node) {
    if (entry.first.IsScalar()) {
      out[entry.first.Scalar()] = OfYaml(entry.second, depth + 1, budget);
    }
  }
  return out;
}

absl::StatusOr<std::set<std::string>> FromYaml(const std::string& content) {
  if (content.size() > kNodesYamlMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("YAML of more than ", kNodesYamlMax, " bytes; use -o json"));
  }
  Collector collector;
  int budget = kYamlValuesMax;
  try {  // yaml-cpp reports by throwing
    for (const YAML::Node& document : YAML::LoadAll(content)) {
      ORCH_RETURN_IF_ERROR(collector.Take(OfYaml(document, 0, &budget)));
    }
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("line ", error.mark.line + 1, ": not YAML: ", error.msg));
  }
  if (budget < 0) return absl::InvalidArgumentError("too much YAML");
  return collector.names();
}

// Whether the first line with something on it begins a YAML document rather than being a name.
bool LooksLikeYaml(const std::string& content) {
  for (absl::string_view line : absl::StrSplit(content, '\n')) {
    line = absl::StripTrailingAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    return line == "---" || absl::StartsWith(line, "- ") || absl::StrContains(line, ": ") ||
           absl::EndsWith(line, ":");
  }
  return false;
}

absl::StatusOr<std::string> ReadAll(const std::string& path) {
  std::ifstream file;
  if (path != "-") {
    // A stream, not base::ReadFile: a pipe from <(…) is as good as a file.
    file.open(path);
    if (!file) return absl::ErrnoToStatus(errno, "open");
  }
  std::istream& in = path == "-" ? std::cin : file;
  std::string content;
  char block[1 << 16];
  while (in.read(block, sizeof block) || in.gcount() > 0) {
    content.append(block, in.gcount());
    if (content.size() > kNodesFileMax) {
      return absl::InvalidArgumentError(absl::StrCat("larger than ", kNodesFileMax, " bytes"));
    }
  }
  if (in.bad()) return absl::InvalidArgumentError("can't be read");
  return content;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseNodes(const std::string& text) {
  const std::string content(base::SkipBom(text));
  std::set<std::string> names;
  const absl::string_view start = absl::StripLeadingAsciiWhitespace(content);
  if (absl::StartsWith(start, "{") || absl::StartsWith(start, "[")) {
    ORCH_ASSIGN_OR_RETURN(names, FromJson(content));
  } else if (LooksLikeYaml(content)) {
    ORCH_ASSIGN_OR_RETURN(names, FromYaml(content));
  } else {
    ORCH_ASSIGN_OR_RETURN(names, FromText(content));
  }
  for (const std::string& name : names) {
    if (!base::IsIdentity(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("`", base::CutUtf8(name, kQuotedMax), "` is not a node's identity"));
    }
  }
  return std::vector<std::string>(names.begin(), names.end());
}

absl::StatusOr<std::vector<std::string>> ReadNodesFile(const std::string& path) {
  const std::string where =
      path == "-" ? "--nodes -: standard input" : absl::StrCat("--nodes ", path);
  const absl::StatusOr<std::string> content = ReadAll(path);
  if (!content.ok()) return base::Annotate(content.status(), where);
  absl::StatusOr<std::vector<std::string>> names = ParseNodes(*content);
  if (!names.ok()) return base::Annotate(names.status(), where);
  if (names->empty()) return absl::InvalidArgumentError(absl::StrCat(where, " names no node"));
  return names;
}

}  // namespace orch::cli
