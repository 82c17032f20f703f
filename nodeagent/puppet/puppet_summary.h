// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "orch/v1/action.pb.h"

namespace orch::nodeagent {

// Bytes of the largest last_run_summary.yaml that is read.
inline constexpr size_t kSummaryMax = 256 << 10;

// Puppet's last_run_summary.yaml: the last completed run in a few lines.
struct PuppetSummary {
  std::string digest;  // SHA-256 of the file in hex; it differs from run to run
  absl::Time last_run;
  // Nullopt: no catalog was applied. That is a failure, and must not be taken for "0 failed".
  std::optional<orch::v1::ResourceCounts> resources;
  // Properties that would have been changed without noop. Nullopt: not said, so not known.
  std::optional<uint64_t> noop_events;
  std::string puppet_version;
  std::string configuration_version;
  std::string environment;  // converged
  std::optional<absl::Duration> config_retrieval_time;
  std::optional<absl::Duration> total_time;
};

// Reads a summary; blocks for a small file. NotFound: Puppet has not run yet. DataLoss: it is
// truncated or otherwise not what Puppet writes, so its figures are unknown, not zero.
absl::StatusOr<PuppetSummary> ReadPuppetSummary(const std::string& path);
absl::StatusOr<PuppetSummary> ParsePuppetSummary(const std::string& text);

}  // namespace orch::nodeagent
