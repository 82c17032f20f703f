// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

// Reads the nodes that `--nodes FILE` names (docs/targets.md, "Other ways to name nodes").

namespace orch::cli {

// The most bytes of the file, and of a YAML file, which takes longer to read.
inline constexpr size_t kNodesFileMax = 64 << 20;
inline constexpr size_t kNodesYamlMax = 16 << 20;

// Identities in the content of a --nodes file, sorted, without repeats: lines with `#` comments, or
// the JSON, JSON lines or YAML of any result of orchctl. Of a result only the nodes that took part
// are meant: those that a discovery found, not its silent ones; of a job those that were heard, so
// neither NO_RESPONSE nor CANCELLED nor what is still PENDING or SENT. Pure.
//
// InvalidArgument says on which line, and what is wrong.
absl::StatusOr<std::vector<std::string>> ParseNodes(const std::string& content);

// Does the same with a file, or standard input for `-`. A file without a name is an error, because
// an empty list of names would mean everybody.
absl::StatusOr<std::vector<std::string>> ReadNodesFile(const std::string& path);

}  // namespace orch::cli
