// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "controller/job/job.h"
#include "orch/v1/job.pb.h"

namespace orch::controller {

// What a job's list of nodes is made of.
struct FreezeInput {
  std::vector<std::string> willing;  // will be asked; sorted
  std::vector<JobNodeStart> ended;   // their outcome is decided already: declined, unable, silent
  bool mutating = true;
  uint32_t confirm_above = 0;
  uint32_t max_nodes = 0;    // the policy's, 0: none
  uint32_t max_percent = 0;  // the policy's, of `present`; 0: none
  size_t present = 0;        // nodes of the collective
  // Nodes under way by other jobs that the rule with the limits permitted: they count with ours.
  absl::flat_hash_set<std::string> under_way;
};

// Settles whom a job is about: `spec.rollout.limit` first (willing nodes before others), then the
// counts against what the caller confirmed and the policy allows. Sorted by name. Pure.
//
// InvalidArgument: a bad limit. FailedPrecondition CONFIRMATION_REQUIRED, NODE_COUNT_NOT_CONFIRMED:
// the count is the violation's subject. PermissionDenied POLICY_LIMIT.
absl::StatusOr<std::vector<JobNodeStart>> Freeze(FreezeInput input, const orch::v1::JobSpec& spec);

}  // namespace orch::controller
