// SPDX-License-Identifier: Apache-2.0
#include "cli/inventory_file.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/status.h"

namespace orch::cli {

absl::StatusOr<std::vector<std::string>> NodesOfGroups(const Inventory& inventory,
                                                       const std::string& name,
                                                       const std::vector<std::string>& groups) {
  std::set<std::string> nodes;
  std::set<std::string> seen;  // a group may stand in several, even in itself
  std::vector<std::pair<std::string, std::string>> to_do;  // group, and where it is named
  for (const std::string& group : groups) to_do.emplace_back(group, "--group");
  while (!to_do.empty()) {
    const auto [group, named_by] = to_do.back();
    to_do.pop_back();
    if (!seen.insert(group).second) continue;
    const auto found = inventory.groups().find(group);
    if (found == inventory.groups().end()) {
      std::vector<std::string> known;
      for (const auto& [other, content] : inventory.groups()) known.push_back(other);
      std::sort(known.begin(), known.end());
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": ", named_by, " names the group `", group, "`, which is not there; ",
                       known.empty() ? "there is none" : "there are ", absl::StrJoin(known, ", ")));
    }
    for (const std::string& node : found->second.nodes()) {
      if (!base::IsIdentity(node)) {
        return absl::InvalidArgumentError(absl::StrCat(name, ": groups.", group, ".nodes: `", node,
                                                       "` is not a node's identity"));
      }
      nodes.insert(node);
    }
    for (const std::string& inner : found->second.groups()) {
      to_do.emplace_back(inner, absl::StrCat("groups.", group, ".groups"));
    }
  }
  if (nodes.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": ", absl::StrJoin(groups, ", "), ": no nodes in it"));
  }
  return std::vector<std::string>(nodes.begin(), nodes.end());
}

absl::StatusOr<std::vector<std::string>> ReadGroups(const std::string& path,
                                                    const std::vector<std::string>& groups) {
  Inventory inventory;
  ORCH_RETURN_IF_ERROR(base::Annotate(base::LoadYaml(path, &inventory), "--inventory"));
  return NodesOfGroups(inventory, path, groups);
}

}  // namespace orch::cli
