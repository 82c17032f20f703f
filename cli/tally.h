// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "api/states.h"
#include "cli/options.h"
#include "orch/v1/job.pb.h"
#include "orch/v1/job_service.pb.h"

namespace orch::cli {

// The value of `--tolerate disabled,running,no-response:5%`: outcomes that the exit code forgives.
struct Tolerance {
  bool disabled = false;
  bool running = false;
  // The most silent nodes that are forgiven: a number, or a percentage of the targets; negative:
  // none.
  int no_response = -1;
  bool no_response_is_percent = false;

  static absl::StatusOr<Tolerance> Parse(const std::string& text);
  // Whether so many silent nodes are within the budget.
  bool Forgives(size_t silent, size_t targets) const;
};

// What a watcher knows of a job: the sum of all events that it has seen. Pure, not thread-safe.
class Tally {
 public:
  // Takes one batch of the stream. Events that are known already (after joining again) change
  // nothing.
  void Apply(const orch::v1::WatchJobResponse& batch);

  const orch::v1::Job& job() const { return job_; }
  uint64_t last_sequence() const { return last_sequence_; }
  bool finished() const { return finished_; }
  // By name.
  const std::map<std::string, orch::v1::JobNode>& nodes() const { return nodes_; }
  uint32_t count(orch::v1::NodeState state) const;
  uint32_t ended() const;
  // Nodes that failed; that gave no answer, or none in time; that were refused, denied, cancelled.
  uint32_t failed() const { return count(orch::v1::NODE_STATE_FAILED); }
  uint32_t silent() const;
  uint32_t refused() const;
  // Nodes that have accepted; that have not yet.
  uint32_t running() const;
  uint32_t waiting() const;
  // Puppet runs that changed something.
  uint32_t changed() const { return changed_; }
  // From sending to the outcome, of the nodes that ended; for `p50` and ETA.
  const std::vector<absl::Duration>& times() const { return times_; }

  // The exit code that the whole job comes to.
  ExitCode Exit(const Tolerance& tolerance) const;
  orch::v1::JobReport Report() const;

 private:
  void ApplyNode(const orch::v1::JobNode& node);

  orch::v1::Job job_;
  uint64_t last_sequence_ = 0;
  bool finished_ = false;
  std::map<std::string, orch::v1::JobNode> nodes_;
  std::map<int, uint32_t> counts_;
  uint32_t changed_ = 0;
  std::vector<absl::Duration> times_;
};

using api::IsTerminal;

}  // namespace orch::cli
