// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/config.pb.h"

// Inventory files: groups of nodes that somebody keeps in a file (docs/targets.md, "Other ways to
// name nodes").

namespace orch::cli {

// The identities in any of these groups and the groups in them, sorted, without repeats. `name`
// stands for the file in errors. InvalidArgument: a group that is not there, a bad identity, a
// group without nodes. Pure.
absl::StatusOr<std::vector<std::string>> NodesOfGroups(const Inventory& inventory,
                                                       const std::string& name,
                                                       const std::vector<std::string>& groups);

// Does the same with the file at `path`.
absl::StatusOr<std::vector<std::string>> ReadGroups(const std::string& path,
                                                    const std::vector<std::string>& groups);

}  // namespace orch::cli
