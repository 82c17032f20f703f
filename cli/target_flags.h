// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "orch/v1/job.pb.h"

// The flags that say who and how fast, the same on every command.

namespace orch::cli {

struct TargetFlags {
  std::vector<std::string> facts, classes, actions, identities, words, select;
  std::string collective;
  std::string nodes_file;

  void AddTo(CLI::App* command);
  // Parsed here for its errors. InvalidArgument names the flag and the column.
  absl::StatusOr<orch::v1::Target> Build() const;
  // What --nodes named, as ReadNodesFile gives it; empty without.
  absl::StatusOr<std::vector<std::string>> Nodes() const;
  bool empty() const;
};

struct RolloutFlags {
  std::string batch, max_failures, batch_sleep, concurrency;
  uint32_t canary = 0;

  void AddTo(CLI::App* command);
  absl::StatusOr<orch::v1::Rollout> Build() const;
};

}  // namespace orch::cli
