// SPDX-License-Identifier: Apache-2.0
// The part of Job that goes to the store and comes back, and that shows it.
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "controller/job/job.h"

namespace orch::controller {
namespace {

template <typename Counts>
void AddVerdicts(const Counts& verdicts, orch::v1::Job* job) {
  for (size_t verdict = 0; verdict < verdicts.size(); ++verdict) {
    if (verdicts[verdict] == 0) continue;
    orch::v1::PuppetVerdictCount* count = job->add_puppet_verdicts();
    count->set_verdict(static_cast<orch::v1::PuppetRunVerdict>(verdict));
    count->set_count(verdicts[verdict]);
  }
}

}  // namespace

std::unique_ptr<Job> Job::Restore(JobSetup setup, const orch::v1::Job& status, bool cancelled,
                                  std::vector<RestoredNode> nodes, base::Now now) {
  std::unique_ptr<Job> job(new Job(std::move(setup), Restoring{}));
  job->state_ = status.state();
  job->cancelled_ = cancelled;
  job->message_ = status.message();
  if (status.has_start_time()) job->start_time_ = ToTime(status.start_time());
  job->last_sequence_ = status.last_sequence() + (job->setup_.plants.sequence_gap ? 1 : 0);
  for (const orch::v1::PuppetVerdictCount& count : status.puppet_verdicts()) {
    if (orch::v1::PuppetRunVerdict_IsValid(count.verdict())) {
      job->verdicts_[count.verdict()] = count.count();
    }
  }
  const bool mutating = job->setup_.mutating;
  for (const RestoredNode& node : nodes) {
    NodeEntry* entry = job->nodes_.Restore(node, mutating, now);
    if (entry == nullptr) continue;
    if (entry->phase == NodePhase::kWaiting) job->waiting_.push_back(entry);
    if (!entry->started) continue;
    job->window_.OnStarted(1);
    if (entry->phase == NodePhase::kEnded) {
      job->window_.OnEnded(StartEndOf(entry->state), now.steady);
    }
  }
  job->judge_from_ = job->hold_max_ = now.steady + kRestoredHoldMax;
  job->answers_.Begin(job->setup_, job->nodes_.empty(), now.steady);
  job->nodes_.ForgetChanges();
  return job;
}

orch::v1::Job Job::Snapshot(bool with_spec) const {
  orch::v1::Job job;
  job.set_name(JobName(setup_.id));
  job.set_caller(setup_.caller);
  if (with_spec) {
    *job.mutable_spec() = setup_.spec;
    *job.mutable_not_asked() = setup_.not_asked;
  }
  job.set_not_asked_count(setup_.not_asked_count);
  job.set_state(state_);
  job.set_pause_reason(pause_reason());
  nodes_.CountInto(&job);
  *job.mutable_create_time() = ToTimestamp(setup_.create_time);
  if (start_time_ != absl::InfiniteFuture()) {
    *job.mutable_start_time() = ToTimestamp(start_time_);
  }
  if (end_time_ != absl::InfinitePast()) *job.mutable_end_time() = ToTimestamp(end_time_);
  job.set_last_sequence(last_sequence_);
  job.set_message(message_);
  job.set_controller(setup_.controller);
  AddVerdicts(verdicts_, &job);
  job.set_mutating(setup_.mutating);
  job.set_traceparent(setup_.traceparent);
  return job;
}

Job::Changes Job::TakeChanges(base::Now now) {
  changes_.nodes = nodes_.TakeChanges(now);
  return std::exchange(changes_, {});
}

}  // namespace orch::controller
