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
  // Parsed here for its errors. InvalidArgument names the flag and the column; NotFound the file.
  absl::StatusOr<orch::v1::Target> Build() const;
  // What --nodes named: identities from text, or from the JSON of an earlier result. Sorted,
  // without repeats.
  absl::StatusOr<std::vector<std::string>> Nodes() const;
  bool empty() const;
};

struct RolloutFlags {
  std::string limit, limit_seed, batch, max_failures, batch_sleep, concurrency;
  uint32_t canary = 0;

  void AddTo(CLI::App* command);
  absl::StatusOr<orch::v1::Rollout> Build() const;
};

// Identities in the content of a --nodes file: lines with `#` comments, or JSON or JSON lines of
// any result of orchctl.
absl::StatusOr<std::vector<std::string>> ParseNodes(const std::string& content);

}  // namespace orch::cli
