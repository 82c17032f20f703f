// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "orch/v1/action.pb.h"

namespace orch::nodeagent {

// Puppet's last_run_summary.yaml; a larger one is no summary.
inline constexpr size_t kSummaryMax = 256 << 10;

// The last completed run in a few lines, as Puppet leaves it after each.
struct PuppetSummary {
  std::string digest;  // SHA-256 of the file in hex: tells one run's from the next one's
  absl::Time last_run;
  // Nullopt: no catalog was applied, which is a failure, never "0 failed".
  std::optional<orch::v1::ResourceCounts> resources;
  // Properties that would have been changed without noop. Nullopt: not said, so not known.
  std::optional<uint64_t> noop_events;
  std::string puppet_version;
  std::string configuration_version;
  std::string environment;  // converged
  std::optional<absl::Duration> config_retrieval_time;
  std::optional<absl::Duration> total_time;
};

// NotFound: there is none. DataLoss: truncated or otherwise not what Puppet writes; unknown, not
// zero.
absl::StatusOr<PuppetSummary> ReadPuppetSummary(const std::string& path);
absl::StatusOr<PuppetSummary> ParsePuppetSummary(const std::string& text);

}  // namespace orch::nodeagent
