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
  job->last_sequence_ = status.last_sequence();
  for (const orch::v1::PuppetVerdictCount& count : status.puppet_verdicts()) {
    if (orch::v1::PuppetRunVerdict_IsValid(count.verdict())) {
      job->verdicts_[count.verdict()] = count.count();
    }
  }
  for (const RestoredNode& node : nodes) job->RestoreNode(node, now);
  job->judge_from_ = job->hold_max_ = now.steady + kRestoredHoldMax;
  if (!job->setup_.mutating) {
    job->until_quiet_ = !job->setup_.nobody && (!job->setup_.roster_known || job->nodes_.empty());
    job->answer_deadline_ = now.steady + kClockSkewMax + job->setup_.answer_timeout;
  }
  job->nodes_.ForgetChanges();
  return job;
}

void Job::RestoreNode(const RestoredNode& node, base::Now now) {
  const auto steady = [&now](absl::Time wall) { return now.steady + (wall - now.wall); };
  if (nodes_.contains(node.node)) return;
  NodeEntry* entry = nodes_.Add(node.node);
  // A state that no version of the store writes tells nothing of what happened.
  const bool known = IsTerminal(node.state) || MayFollow(node.state, orch::v1::NODE_STATE_LOST);
  nodes_.Restore(entry, known ? node.state : orch::v1::NODE_STATE_LOST);
  entry->send_time = node.send_time;
  const bool asked = node.batch_expiry != absl::InfinitePast();
  entry->started = setup_.mutating && asked;
  if (entry->started) window_.OnStarted(1);
  if (IsTerminal(entry->state)) {
    entry->phase = NodePhase::kEnded;
    // What the controller decided itself may still be contradicted by late evidence.
    entry->said_by_node = entry->state != orch::v1::NODE_STATE_NO_RESPONSE &&
                          entry->state != orch::v1::NODE_STATE_TIMED_OUT &&
                          entry->state != orch::v1::NODE_STATE_CANCELLED;
    if (entry->started) window_.OnEnded(StartEndOf(entry->state), now.steady);
  } else if (!setup_.mutating) {
    entry->phase = NodePhase::kAsked;
  } else if (!asked) {
    waiting_.push_back(entry);
  } else {
    entry->phase = NodePhase::kAsked;
    nodes_.SetDeadline(entry, IsUnderWay(entry->state) ? steady(node.deadline)
                                                       : steady(node.batch_expiry) + kClockSkewMax);
  }
}

orch::v1::Job Job::Snapshot(bool with_spec) const {
  orch::v1::Job job;
  job.set_name(JobName(setup_.id));
  job.set_caller(setup_.caller);
  if (with_spec) *job.mutable_spec() = setup_.spec;
  job.set_state(state_);
  nodes_.CountInto(&job);
  *job.mutable_create_time() = ToTimestamp(setup_.create_time);
  if (end_time_ != absl::InfinitePast()) *job.mutable_end_time() = ToTimestamp(end_time_);
  job.set_last_sequence(last_sequence_);
  job.set_message(message_);
  job.set_controller(setup_.controller);
  for (size_t verdict = 0; verdict < verdicts_.size(); ++verdict) {
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
  const NodeEntry* entry = nodes_.Find(node);
  if (entry == nullptr) return std::nullopt;
  return entry->state;
}

std::vector<std::string> Job::OpenNodes() const {
  std::vector<std::string> open;
  for (const NodeEntry& entry : nodes_.entries()) {
    if (entry.phase != NodePhase::kEnded) open.push_back(entry.name);
  }
  return open;
}

std::vector<std::string> Job::StartedNodes() const {
  std::vector<std::string> started;
  for (const NodeEntry& entry : nodes_.entries()) {
    if (entry.started && entry.phase != NodePhase::kEnded) started.push_back(entry.name);
  }
  return started;
}

Job::Changes Job::TakeChanges(base::Now now) {
  changes_.nodes = nodes_.TakeChanges(now);
  return std::exchange(changes_, {});
}

}  // namespace orch::controller
