// SPDX-License-Identifier: Apache-2.0
// The part of Job that goes to the store and comes back, and that shows it.
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "controller/job/job.h"

namespace orch::controller {
std::unique_ptr<Job> Job::Restore(JobSetup setup, const orch::v1::Job& status, bool cancelled,
                                  std::vector<RestoredNode> nodes, base::Now now) {
  std::unique_ptr<Job> job(new Job(std::move(setup), Restoring{}));
  job->state_ = status.state();
  job->cancelled_ = cancelled;
  job->message_ = status.message();
  job->last_sequence_ = status.last_sequence() + (job->setup_.plants.sequence_gap ? 1 : 0);
  for (const orch::v1::PuppetVerdictCount& count : status.puppet_verdicts()) {
    if (orch::v1::PuppetRunVerdict_IsValid(count.verdict())) {
      job->verdicts_[count.verdict()] = count.count();
    }
  }
  const auto steady = [&now](absl::Time wall) { return now.steady + (wall - now.wall); };
  for (const RestoredNode& node : nodes) {
    const uint32_t index = job->AddNode(node.node);
    Record& record = job->nodes_[index];
    job->Move(&record, node.state);
    record.send_time = node.send_time;
    const bool asked = node.batch_expiry != absl::InfinitePast();
    record.started = job->setup_.mutating && asked;
    if (record.started) job->window_.OnStarted(1, now.steady);
    if (IsTerminal(node.state)) {
      record.phase = Phase::kEnded;
      // What the controller decided itself may still be contradicted by late evidence.
      record.said_by_node = node.state != orch::v1::NODE_STATE_NO_RESPONSE &&
                            node.state != orch::v1::NODE_STATE_TIMED_OUT &&
                            node.state != orch::v1::NODE_STATE_CANCELLED;
      if (record.started) job->window_.OnEnded(StartEndOf(node.state));
    } else if (!job->setup_.mutating) {
      record.phase = Phase::kAsked;
    } else if (!asked) {
      job->waiting_.push_back(index);
    } else {
      record.phase = Phase::kAsked;
      job->SetDeadline(&record, node.state >= orch::v1::NODE_STATE_ACCEPTED
                                    ? steady(node.deadline)
                                    : steady(node.batch_expiry) + kClockSkewMax);
    }
  }
  job->judge_from_ = job->hold_max_ = now.steady + kRestoredHoldMax;
  if (!job->setup_.mutating) {
    job->until_quiet_ = job->nodes_.empty();
    job->answer_deadline_ = now.steady + kClockSkewMax + job->setup_.answer_timeout;
  }
  for (uint32_t index : job->changed_) job->nodes_[index].changed = false;
  job->changed_.clear();
  return job;
}

orch::v1::Job Job::Snapshot(bool with_spec) const {
  orch::v1::Job job;
  job.set_name(JobName(setup_.id));
  job.set_caller(setup_.caller);
  if (with_spec) *job.mutable_spec() = setup_.spec;
  job.set_state(state_);
  for (int state = 0; state <= orch::v1::NodeState_MAX; ++state) {
    if (counts_[state] == 0) continue;
    orch::v1::NodeStateCount* count = job.add_counts();
    count->set_state(static_cast<orch::v1::NodeState>(state));
    count->set_count(counts_[state]);
  }
  job.set_targets(static_cast<uint32_t>(nodes_.size()));
  *job.mutable_create_time() = ToTimestamp(setup_.create_time);
  if (end_time_ != absl::InfinitePast()) *job.mutable_end_time() = ToTimestamp(end_time_);
  job.set_last_sequence(last_sequence_);
  job.set_message(message_);
  job.set_controller(setup_.controller);
  for (int verdict = 0; verdict <= orch::v1::PuppetRunVerdict_MAX; ++verdict) {
    if (verdicts_[verdict] == 0) continue;
    orch::v1::PuppetVerdictCount* count = job.add_puppet_verdicts();
    count->set_verdict(static_cast<orch::v1::PuppetRunVerdict>(verdict));
    count->set_count(verdicts_[verdict]);
  }
  job.set_mutating(setup_.mutating);
  job.set_traceparent(setup_.traceparent);
  return job;
}

std::optional<orch::v1::NodeState> Job::StateOf(const std::string& node) const {
  auto it = index_.find(node);
  if (it == index_.end()) return std::nullopt;
  return nodes_[it->second].state;
}

Job::Changes Job::TakeChanges(base::Now now) {
  changes_.nodes.reserve(changed_.size());
  for (uint32_t index : changed_) {
    Record& record = nodes_[index];
    record.changed = false;
    NodeChange change;
    change.node = record.name;
    change.position = index;
    change.state = record.state;
    change.sequence = record.sequence;
    change.send_time = record.send_time;
    change.late_evidence = record.late_evidence;
    change.deadline = now.wall + (record.deadline - now.steady);
    changes_.nodes.push_back(std::move(change));
  }
  changed_.clear();
  return std::exchange(changes_, {});
}

}  // namespace orch::controller
