// SPDX-License-Identifier: Apache-2.0
#include "controller/job/job.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "base/text.h"

namespace orch::controller {

using orch::v1::JobState;
using orch::v1::NodeState;

bool IsTerminal(NodeState state) { return state >= orch::v1::NODE_STATE_SUCCEEDED; }
bool IsEnd(JobState state) { return state >= orch::v1::JOB_STATE_SUCCEEDED; }

Job::Job(JobSetup setup, std::vector<JobNodeStart> nodes, std::vector<std::string> maybe,
         base::Now now)
    : setup_(std::move(setup)), window_(setup_.rollout) {
  std::vector<std::pair<uint32_t, const JobNodeStart*>> over;
  for (const JobNodeStart& start : nodes) {
    if (nodes_.size() >= kJobNodesMax || index_.contains(start.node)) continue;
    const uint32_t index = AddNode(start.node);
    nodes_[index].last_seen = start.last_seen;
    nodes_[index].unknown = start.unknown;
    if (IsTerminal(start.state)) {
      over.emplace_back(index, &start);
    } else if (setup_.mutating) {
      waiting_.push_back(index);
    } else {
      // Asked by the broadcast that goes out with the start.
      nodes_[index].phase = Phase::kAsked;
      Move(&nodes_[index], orch::v1::NODE_STATE_SENT);
    }
  }
  message_ = setup_.note;
  if (!setup_.mutating) {
    for (std::string& name : maybe) {
      if (!index_.contains(name)) maybe_.insert(std::move(name));
    }
    const bool nobody_expected = nodes_.empty() && maybe_.empty();
    until_quiet_ = !setup_.nobody && (!setup_.roster_known || nobody_expected);
    // In force until the broadcast is out; ends the job also if that never happens.
    answer_deadline_ = now.steady + kClockSkewMax + setup_.answer_timeout;
  }
  orch::v1::JobStarted* started = Append(now)->mutable_started();
  *started->mutable_job() = Snapshot(true);
  for (const Record& record : nodes_) started->add_nodes(record.name);
  for (const auto& [index, start] : over) {
    End(&nodes_[index], start->state, start->reason, start->message, now);
  }
  Settle(now);
}

uint32_t Job::AddNode(const std::string& name) {
  const uint32_t index = static_cast<uint32_t>(nodes_.size());
  nodes_.emplace_back();
  nodes_.back().name = name;
  nodes_.back().index = index;
  index_.emplace(name, index);
  ++counts_[orch::v1::NODE_STATE_PENDING];
  ++open_;
  MarkChanged(&nodes_.back());
  return index;
}

Job::Record* Job::Find(const std::string& node) {
  auto it = index_.find(node);
  return it == index_.end() ? nullptr : &nodes_[it->second];
}

void Job::Move(Record* record, NodeState to) {
  --counts_[record->state];
  ++counts_[to];
  if (IsTerminal(to) && !IsTerminal(record->state)) --open_;
  record->state = to;
  MarkChanged(record);
}

void Job::MarkChanged(Record* record) {
  if (record->changed) return;
  record->changed = true;
  changed_.push_back(record->index);
}

void Job::SetDeadline(Record* record, absl::Duration at) {
  record->deadline = at;
  if (at != absl::InfiniteDuration()) due_.push({at, record->index});
}

orch::v1::JobEvent* Job::Append(base::Now now) {
  auto event = std::make_shared<orch::v1::JobEvent>();
  event->set_sequence(++last_sequence_);
  *event->mutable_time() = ToTimestamp(now.wall);
  orch::v1::JobEvent* raw = event.get();
  changes_.events.push_back(std::move(event));
  return raw;
}

orch::v1::JobNode* Job::AppendNode(Record* record, NodeState to, base::Now now) {
  Move(record, to);
  orch::v1::JobNode* node = Append(now)->mutable_node();
  record->sequence = last_sequence_;
  node->set_name(api::JobNodeName(setup_.id, record->name));
  node->set_node(record->name);
  node->set_state(to);
  if (record->send_time != absl::InfinitePast()) {
    *node->mutable_send_time() = ToTimestamp(record->send_time);
  }
  *node->mutable_update_time() = ToTimestamp(now.wall);
  return node;
}

orch::v1::JobNode* Job::End(Record* record, NodeState outcome, const std::string& reason,
                            const std::string& message, base::Now now) {
  ORCH_CHECK(record->phase != Phase::kEnded && IsTerminal(outcome));
  record->phase = Phase::kEnded;
  record->deadline = absl::InfiniteDuration();
  if (record->started) window_.OnEnded(StartEndOf(outcome));
  orch::v1::JobNode* node = AppendNode(record, outcome, now);
  node->set_reason(base::ToUtf8(reason, kNodeReasonMax));
  node->set_message(base::ToUtf8(message, kNodeMessageMax));
  if (outcome == orch::v1::NODE_STATE_NO_RESPONSE && record->last_seen != absl::InfinitePast()) {
    *node->mutable_last_seen() = ToTimestamp(record->last_seen);
  }
  return node;
}

std::vector<std::string> Job::TakeStarts(size_t most, base::Now now) {
  std::vector<std::string> starts;
  if (state_ != orch::v1::JOB_STATE_RUNNING) return starts;
  const uint32_t room = window_.Startable(waiting(), now.steady);
  while (starts.size() < std::min<size_t>(room, most)) {
    Record& record = nodes_[waiting_.front()];
    waiting_.pop_front();
    record.phase = Phase::kClaimed;
    record.started = true;
    starts.push_back(record.name);
  }
  if (!starts.empty()) window_.OnStarted(static_cast<uint32_t>(starts.size()), now.steady);
  return starts;
}

std::vector<std::string> Job::OnPublishing(const std::vector<std::string>& nodes, absl::Time expiry,
                                           base::Now now) {
  std::vector<std::string> wanted;
  for (const std::string& name : nodes) {
    Record* record = Find(name);
    if (record == nullptr || record->phase != Phase::kClaimed) continue;
    record->phase = Phase::kAsked;
    SetDeadline(record, now.steady + (expiry - now.wall) + kClockSkewMax);
    wanted.push_back(name);
  }
  return wanted;
}

void Job::OnUnpublishable(const std::vector<std::string>& nodes, const std::string& why,
                          base::Now now) {
  for (const std::string& name : nodes) {
    Record* record = Find(name);
    if (record == nullptr || record->phase != Phase::kClaimed) continue;
    End(record, orch::v1::NODE_STATE_CANCELLED, "not_sent", why, now);
  }
  Settle(now);
}

void Job::OnSent(const std::string& node, base::Now now) {
  Record* record = Find(node);
  // An answer may overtake the broker's receipt.
  if (record == nullptr || record->phase != Phase::kAsked) return;
  if (record->state != orch::v1::NODE_STATE_PENDING) return;
  record->send_time = now.wall;
  AppendNode(record, orch::v1::NODE_STATE_SENT, now);
}

void Job::OnBroadcast(base::Now now) {
  if (setup_.mutating || ended()) return;
  answer_deadline_ = now.steady + setup_.answer_timeout;
  broadcast_time_ = now.wall;
  if (!setup_.strict_timeout) {
    stretch_max_ = now.steady + kAnswerStretchMax * setup_.answer_timeout;
  }
  if (until_quiet_ && setup_.roster_known) quiet_deadline_ = now.steady + kQuietWindow;
  for (Record& record : nodes_) {
    if (record.phase == Phase::kAsked) record.send_time = now.wall;
  }
}

void Job::GiveUpWaiting(const std::string& why, base::Now now) {
  std::deque<uint32_t> waiting = std::move(waiting_);
  waiting_.clear();
  for (uint32_t index : waiting) {
    End(&nodes_[index], orch::v1::NODE_STATE_NO_RESPONSE, "not_sent", why, now);
  }
  Settle(now);
}

void Job::OnBus(bool connected, base::Now now) {
  if (now.steady >= judge_from_) return;
  judge_from_ = connected ? std::min(now.steady, hold_max_) + kRestoredGrace : hold_max_;
}

void Job::OnTime(base::Now now) {
  if (ended()) return;
  const bool judging = now.steady >= judge_from_;
  while (judging && !due_.empty() && due_.top().at <= now.steady) {
    const Due due = due_.top();
    due_.pop();
    Record& record = nodes_[due.index];
    if (record.deadline == due.at && record.phase == Phase::kAsked) OnOverdue(&record, now);
  }
  if (now.steady >= std::min(answer_deadline_, quiet_deadline_)) OnAnswerTimeout(now);
  Settle(now);
}

void Job::OnOverdue(Record* record, base::Now now) {
  if (record->state >= orch::v1::NODE_STATE_ACCEPTED) {
    End(record, orch::v1::NODE_STATE_TIMED_OUT, "no_result",
        absl::StrCat("accepted, but no result within ", absl::FormatDuration(setup_.run_timeout)),
        now);
    return;
  }
  End(record, orch::v1::NODE_STATE_NO_RESPONSE, "no_acceptance",
      "no acceptance heard before the request expired: it can no longer start; whether it had "
      "started is unknown",
      now);
}

void Job::OnAnswerTimeout(base::Now now) {
  for (Record& record : nodes_) {
    if (record.phase != Phase::kAsked) continue;
    const bool heard = record.state >= orch::v1::NODE_STATE_ACCEPTED;
    End(&record, heard ? orch::v1::NODE_STATE_TIMED_OUT : orch::v1::NODE_STATE_NO_RESPONSE,
        heard ? "no_result" : "no_answer",
        absl::StrCat(heard ? "no result within " : "no answer within ",
                     absl::FormatDuration(setup_.answer_timeout),
                     record.unknown ? "; no node of this name was ever heard of" : ""),
        now);
  }
  if (!maybe_.empty()) {
    message_ = absl::StrCat(maybe_.size(), maybe_.size() == 1 ? " node" : " nodes",
                            " that the target may or may not match stayed silent");
    maybe_.clear();
  }
  until_quiet_ = false;
}

void Job::Cancel(const std::string& caller, const std::string& reason, base::Now now) {
  if (ended() || state_ == orch::v1::JOB_STATE_STOPPING) return;
  cancelled_ = true;
  BeginStop(caller,
            absl::StrCat("cancelled by ", caller, reason.empty() ? "" : ": ",
                         base::CutUtf8(reason, kNodeMessageMax)),
            now);
  Settle(now);
}

void Job::BeginStop(const std::string& caller, const std::string& message, base::Now now) {
  message_ = message;
  ChangeState(orch::v1::JOB_STATE_STOPPING, caller, message, now);
  waiting_.clear();
  maybe_.clear();
  until_quiet_ = false;
  for (Record& record : nodes_) {
    // Read-only: what has not answered has changed nothing, so nobody waits for it.
    const bool waits = record.phase == Phase::kWaiting || record.phase == Phase::kClaimed;
    if (!waits && !(record.phase == Phase::kAsked && !setup_.mutating)) continue;
    End(&record, orch::v1::NODE_STATE_CANCELLED, cancelled_ ? "cancelled" : "stopped", message,
        now);
  }
}

void Job::ChangeState(JobState to, const std::string& caller, const std::string& message,
                      base::Now now) {
  state_ = to;
  orch::v1::JobStateChanged* change = Append(now)->mutable_state_changed();
  change->set_state(to);
  change->set_caller(caller);
  change->set_message(message);
}

absl::Status Job::Pause(const std::string& caller, base::Now now) {
  if (state_ != orch::v1::JOB_STATE_RUNNING) {
    return api::Precondition("JOB_NOT_RUNNING", "state", JobName(setup_.id),
                             absl::StrCat("job ", setup_.id, " is not running"));
  }
  ChangeState(orch::v1::JOB_STATE_PAUSED, caller, "", now);
  return absl::OkStatus();
}

absl::Status Job::Resume(const std::string& caller, base::Now now) {
  if (state_ != orch::v1::JOB_STATE_PAUSED) {
    return api::Precondition("JOB_NOT_PAUSED", "state", JobName(setup_.id),
                             absl::StrCat("job ", setup_.id, " is not paused"));
  }
  ChangeState(orch::v1::JOB_STATE_RUNNING, caller, "", now);
  return absl::OkStatus();
}

void Job::Settle(base::Now now) {
  const bool going = state_ == orch::v1::JOB_STATE_RUNNING || state_ == orch::v1::JOB_STATE_PAUSED;
  if (going && open_ > 0) {
    const std::string stop = window_.StopReason();
    if (!stop.empty()) BeginStop("", absl::StrCat("stopped: ", stop), now);
  }
  if (!ended() && open_ == 0 && maybe_.empty() && !until_quiet_) Finish(now);
}

void Job::Finish(base::Now now) {
  if (state_ == orch::v1::JOB_STATE_STOPPING) {
    state_ = cancelled_ ? orch::v1::JOB_STATE_CANCELLED : orch::v1::JOB_STATE_STOPPED;
  } else if (nodes_.empty()) {
    state_ = orch::v1::JOB_STATE_FAILED;
    message_ = message_.empty() ? "no node matched" : absl::StrCat("no node matched: ", message_);
  } else {
    const bool all = counts_[orch::v1::NODE_STATE_SUCCEEDED] == nodes_.size();
    state_ = all ? orch::v1::JOB_STATE_SUCCEEDED : orch::v1::JOB_STATE_FAILED;
  }
  end_time_ = now.wall;
  orch::v1::JobEvent* event = Append(now);
  *event->mutable_finished() = Snapshot(true);
}

std::optional<absl::Duration> Job::NextDeadline() const {
  if (ended()) return std::nullopt;
  absl::Duration next = std::min(answer_deadline_, quiet_deadline_);  // infinite if mutating
  // Void entries only make the caller look once too often.
  if (!due_.empty()) next = std::min(next, std::max(due_.top().at, judge_from_));
  if (state_ == orch::v1::JOB_STATE_RUNNING && !waiting_.empty()) {
    next = std::min(next, window_.NextTime(waiting()).value_or(absl::InfiniteDuration()));
  }
  if (next == absl::InfiniteDuration()) return std::nullopt;
  return next;
}

}  // namespace orch::controller
