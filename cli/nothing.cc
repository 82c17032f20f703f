// SPDX-License-Identifier: Apache-2.0
#include "cli/nothing.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/json.h"
#include "api/names.h"
#include "base/nearest.h"
#include "cli/node_text.h"
#include "cli/text.h"

namespace orch::cli {
namespace {

constexpr size_t kNearMax = 3;
// Pages of the roster that are looked at for near names.
constexpr int kPagesMax = 20;

std::vector<std::string> Identities(Connection& connection) {
  std::vector<std::string> names;
  orch::v1::ListNodesRequest request;
  request.set_page_size(1000);
  request.mutable_read_mask()->add_paths("identity");
  for (int page = 0; page < kPagesMax; ++page) {
    const auto response = connection.Call(request);
    if (!response.ok()) break;
    for (const auto& node : response->nodes()) names.push_back(node.identity());
    if (response->next_page_token().empty()) break;
    request.set_page_token(response->next_page_token());
  }
  return names;
}

// The node whose name somebody may have meant: in other case, without its domain, mistyped.
std::string NearName(const std::string& word, const std::vector<std::string>& names) {
  const std::string lower = absl::AsciiStrToLower(word);
  for (const std::string& name : names) {
    if (name == lower || absl::StartsWith(name, lower + ".")) return name;
  }
  return base::Nearest(lower, names);
}

// The paths of a present node's facts.
std::vector<std::string> FactPaths(Connection& connection) {
  orch::v1::ListNodesRequest request;
  request.set_page_size(1);
  request.add_states(orch::v1::ROSTER_STATE_PRESENT);
  const auto some = connection.Call(request);
  if (!some.ok() || some->nodes().empty()) return {};
  orch::v1::GetNodeRequest one;
  one.set_name(some->nodes(0).name());
  const auto node = connection.Call(one);
  std::vector<std::string> paths;
  if (!node.ok()) return paths;
  for (auto& [path, value] : Flattened(api::FromStruct(node->node().facts()))) {
    paths.push_back(path);
    // The maps above it are facts, too.
    for (size_t dot = path.rfind('.'); dot != std::string::npos && dot > 0;
         dot = path.rfind('.', dot - 1)) {
      paths.push_back(path.substr(0, dot));
    }
  }
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  return paths;
}

std::string AboutFact(Connection& connection, const std::string& filter) {
  const std::string path = filter.substr(0, filter.find_first_of("=<>!~"));
  const std::vector<std::string> known = FactPaths(connection);
  if (known.empty() || std::binary_search(known.begin(), known.end(), path)) return "";
  const std::string near = base::Nearest(path, known);
  return absl::StrCat("no fact `", Safe(path), "` on the first present node",
                      near.empty() ? "" : absl::StrCat(": did you mean ", Safe(near), "?"));
}

}  // namespace

std::vector<std::string> NearNames(Connection& connection, const std::vector<std::string>& names) {
  std::vector<std::string> lines;
  if (names.empty()) return lines;
  const std::vector<std::string> known = Identities(connection);
  for (const std::string& name : names) {
    if (lines.size() == kNearMax) break;
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string near = NearName(name, known);
    if (!near.empty()) lines.push_back(absl::StrCat(Safe(name), ": did you mean ", near, "?"));
  }
  return lines;
}

std::vector<std::string> WhyNobody(Connection& connection, const orch::v1::Target& target,
                                   const google::protobuf::RepeatedPtrField<std::string>& nodes) {
  orch::v1::ExplainTargetRequest request;
  *request.mutable_target() = target;
  *request.mutable_nodes() = nodes;
  const auto response = connection.Call(request);
  if (!response.ok()) return {};
  if (response->nodes() == 0) {
    return {nodes.empty() ? "no node is present: orchctl node list"
                          : "none of the named nodes is present: orchctl node list"};
  }
  std::vector<std::string> lines;
  uint32_t before = response->nodes();
  for (const auto& clause : response->clauses()) {
    if (clause.nodes_left() == 0) {
      lines.push_back(absl::StrCat("`", Safe(clause.words()), "` is true on none of ", before,
                                   before == 1 ? " node" : " nodes"));
      break;
    }
    before = clause.nodes_left();
  }
  for (const std::string& filter : target.facts()) {
    const std::string line = AboutFact(connection, filter);
    if (!line.empty()) lines.push_back(line);
  }
  std::vector<std::string> names;
  for (const std::string& identity : target.identities()) {
    if (absl::StrContains(identity, '*') || absl::StrContains(identity, '?')) {
      lines.push_back(absl::StrCat("-I ", Safe(identity),
                                   ": * and ? are no patterns; a regular expression is /^web/"));
    } else if (!absl::StartsWith(identity, "/")) {
      names.push_back(identity);
    }
  }
  names.insert(names.end(), nodes.begin(), nodes.end());
  for (std::string& line : NearNames(connection, names)) lines.push_back(std::move(line));
  lines.push_back("orchctl explain target, with the same flags, counts each of them");
  return lines;
}

}  // namespace orch::cli
