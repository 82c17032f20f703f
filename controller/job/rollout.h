// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "orch/v1/job.pb.h"

// How the work of a mutating job is spread over its nodes: who is chosen, and how many may start
// now. Pure.

namespace orch::controller {

// At most `limit` of `nodes`, which are sorted and stay so: the first ones, or with a seed a choice
// that looks random and is the same for the same seed and nodes, whatever the machine.
std::vector<std::string> ChooseNodes(std::vector<std::string> nodes, uint32_t limit,
                                     absl::string_view seed);

// A Rollout in numbers for so many nodes.
struct RolloutPlan {
  // So many must succeed before the rest may start; one that declines is no canary, another takes
  // its place. 0: none.
  uint32_t canary = 0;
  absl::Duration canary_wait = absl::ZeroDuration();  // from the canary's end to the others' start
  uint32_t concurrency = 0;                           // at most so many under way; 0: no window
  uint32_t batch_size = 0;  // so many; the next ones when these have ended; 0: no batches
  absl::Duration batch_sleep = absl::ZeroDuration();  // from a batch's end to the next one's start
  uint32_t max_failures = 0;                          // stop at so many failures; 0: never
};

// `default_concurrency` (0: no window) is for a spec that says nothing. InvalidArgument names the
// field of `spec.rollout`.
absl::StatusOr<RolloutPlan> PlanRollout(const orch::v1::Rollout& rollout, uint32_t nodes,
                                        uint32_t default_concurrency);

// How a started node ended, as far as a rollout cares.
enum class StartEnd {
  kSucceeded,
  kDeclined,  // the node said no or never started: neither a canary nor a failure
  kFailed,    // tried and failed, or was lost sight of
};
StartEnd StartEndOf(orch::v1::NodeState outcome);

// Counts starts and ends and answers how many more may start. It guarantees that nodes beyond the
// canaries start only after as many nodes as there are canaries have succeeded and none has failed;
// that a batch begins only when every node of the one before has ended and the sleep is over; and
// that nothing starts any more once StopReason has a reason. Time is the steady clock's.
//
// Nodes of a job that is restored are told in the order of their starts.
class RolloutWindow {
 public:
  explicit RolloutWindow(RolloutPlan plan = {}) : plan_(plan) {}

  // How many nodes may start now, if so many wait.
  uint32_t Startable(uint32_t waiting, absl::Duration steady) const;
  void OnStarted(uint32_t nodes);
  void OnEnded(StartEnd how, absl::Duration steady);
  // When some of the waiting may start though nothing ended: a batch_sleep is over by then.
  std::optional<absl::Duration> NextDeadline(uint32_t waiting) const;
  // Why nothing may start any more: `canary: 1 of 2 did not succeed`, `3 nodes failed
  // (max_failures 3)`; empty: go on.
  std::string StopReason() const;
  uint32_t under_way() const { return started_ - succeeded_ - declined_ - failed_; }

 private:
  bool in_canary() const { return succeeded_ < plan_.canary; }
  bool batch_full() const;
  absl::Duration canary_over() const;

  RolloutPlan plan_;
  uint32_t started_ = 0;
  uint32_t succeeded_ = 0, declined_ = 0, failed_ = 0;
  uint32_t canaries_failed_ = 0;
  absl::Duration last_end_ = -absl::InfiniteDuration();
  absl::Duration canary_end_ = -absl::InfiniteDuration();
};

}  // namespace orch::controller
