// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "orch/v1/job.pb.h"

// The flags that say which nodes are meant and how fast they start; they are the same on every
// command.

namespace orch::cli {

// The value of a flag that takes `10` or `25%`. InvalidArgument names the flag.
absl::StatusOr<orch::v1::Quantity> Quantity(absl::string_view flag, const std::string& text);

struct TargetFlags {
  std::vector<std::string> facts, classes, actions, identities, words, select;
  std::string collective;
  std::string nodes_file;
  std::vector<std::string> nodes;  // without a flag

  void AddTo(CLI::App* command);
  // Takes words without a flag for nodes' names, as with -I: `ping web1 web2`.
  void AddNodes(CLI::App* command);
  // The target that the flags name. It is compiled here for its errors: InvalidArgument names the
  // flag and the column.
  absl::StatusOr<orch::v1::Target> Build() const;
  // The nodes that --nodes names, as ReadNodesFile gives them; empty without the flag.
  absl::StatusOr<std::vector<std::string>> Nodes() const;
  bool empty() const;
};

struct RolloutFlags {
  std::string batch, max_failures, batch_sleep, concurrency, canary, canary_wait;

  void AddTo(CLI::App* command);
  absl::StatusOr<orch::v1::Rollout> Build() const;
};

}  // namespace orch::cli
