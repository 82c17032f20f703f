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

namespace {

absl::Status NotIn(const char* reason, const char* state, const std::string& id) {
  return api::Precondition(reason, "state", JobName(id),
                           absl::StrCat("job ", id, " is not ", state));
}

void SetTimes(const NodeEntry& entry, orch::v1::JobNode* node) {
  const auto set = [](absl::Time time, auto get) {
    if (time != absl::InfinitePast()) *get() = ToTimestamp(time);
  };
  set(entry.send_time, [node] { return node->mutable_send_time(); });
  set(entry.accept_time, [node] { return node->mutable_accept_time(); });
  set(entry.start_time, [node] { return node->mutable_start_time(); });
}

// What is said of a node that a read-only job asked in vain.
std::string SilenceText(const JobSetup& setup, const NodeEntry& entry,
                        const std::string& unconfirmed) {
  if (!unconfirmed.empty() && !IsUnderWay(entry.state)) {
    return absl::StrCat("the broker did not confirm the request (", unconfirmed,
                        "): whether the node got it is not known");
  }
  return absl::StrCat(IsUnderWay(entry.state) ? "no result within " : "no answer within ",
                      absl::FormatDuration(setup.answer_timeout),
                      entry.unknown ? "; no node of this name is known"
                      : entry.gone  ? "; its agent was stopped"
                                    : "");
}

std::string MaybesText(const std::string& note, size_t silent) {
  return absl::StrCat(note, note.empty() ? "" : "; ", silent, silent == 1 ? " node" : " nodes",
                      " that the target may or may not match stayed silent");
}

}  // namespace

Job::Job(JobSetup setup, std::vector<JobNodeStart> nodes, std::vector<std::string> maybe,
         base::Now now)
    : setup_(std::move(setup)), window_(setup_.rollout) {
  std::vector<std::pair<NodeEntry*, const JobNodeStart*>> ended;
  for (const JobNodeStart& start : nodes) {
    if (nodes_.size() >= kJobNodesMax || nodes_.contains(start.node)) continue;
    NodeEntry* entry = nodes_.Add(start.node);
    entry->last_seen = start.last_seen;
    entry->unknown = start.unknown;
    entry->gone = start.gone;
    if (IsTerminal(start.state)) {
      ended.emplace_back(entry, &start);
    } else if (setup_.mutating) {
      waiting_.push_back(entry);
    } else {
      // Asked by the broadcast that goes out with the start.
      entry->phase = NodePhase::kAsked;
      nodes_.Move(entry, orch::v1::NODE_STATE_SENT);
    }
  }
  message_ = setup_.note;
  if (!setup_.mutating) {
    for (std::string& name : maybe) {
      if (!nodes_.contains(name)) answers_.ExpectMaybe(std::move(name));
    }
  }
  answers_.Begin(setup_, nodes_.empty() && answers_.silent_maybes() == 0, now.steady);
  orch::v1::JobStarted* started = Append(now)->mutable_started();
  *started->mutable_job() = Snapshot(true);
  for (const NodeEntry& entry : nodes_.entries()) started->add_nodes(entry.name);
  for (const auto& [entry, start] : ended) {
    End(entry, start->state, start->reason, start->message, now);
  }
  Settle(now);
}

orch::v1::JobEvent* Job::Append(base::Now now) {
  auto event = std::make_shared<orch::v1::JobEvent>();
  event->set_sequence(++last_sequence_);
  *event->mutable_time() = ToTimestamp(now.wall);
  orch::v1::JobEvent* raw = event.get();
  changes_.events.push_back(std::move(event));
  return raw;
}

orch::v1::JobNode* Job::AppendNode(NodeEntry* entry, NodeState to, base::Now now) {
  nodes_.Move(entry, to);
  orch::v1::JobNode* node = Append(now)->mutable_node();
  entry->sequence = last_sequence_;
  node->set_name(api::JobNodeName(setup_.id, entry->name));
  node->set_node(entry->name);
  node->set_state(to);
  SetTimes(*entry, node);
  *node->mutable_update_time() = ToTimestamp(now.wall);
  return node;
}

orch::v1::JobNode* Job::End(NodeEntry* entry, NodeState outcome, const std::string& reason,
                            const std::string& message, base::Now now) {
  ORCH_CHECK(entry->phase != NodePhase::kEnded && IsTerminal(outcome));
  entry->phase = NodePhase::kEnded;
  entry->deadline = absl::InfiniteDuration();
  if (entry->started) {
    window_.OnEnded(StartEndOf(outcome), now.steady);
    StartedNodeEnd& end = changes_.ends.emplace_back();
    end.node = entry->name;
    end.outcome = outcome;
    if (entry->accepted_at != -absl::InfiniteDuration()) {
      end.length = now.steady - entry->accepted_at;
    }
  }
  orch::v1::JobNode* node = AppendNode(entry, outcome, now);
  node->set_reason(base::ToUtf8(reason, kNodeReasonMax));
  node->set_message(base::ToUtf8(message, kNodeMessageMax));
  if (outcome == orch::v1::NODE_STATE_NO_RESPONSE && entry->last_seen != absl::InfinitePast()) {
    *node->mutable_last_seen() = ToTimestamp(entry->last_seen);
  }
  return node;
}

std::vector<std::string> Job::TakeStarts(size_t most, const MayStart& may_start, base::Now now) {
  std::vector<std::string> starts;
  if (state_ != orch::v1::JOB_STATE_RUNNING) return starts;
  const uint32_t room = window_.Startable(waiting(), now.steady);
  while (starts.size() < std::min<size_t>(room, most)) {
    NodeEntry* entry = waiting_.front();
    if (may_start != nullptr && !may_start(entry->name)) break;
    waiting_.pop_front();
    entry->phase = NodePhase::kClaimed;
    entry->started = true;
    starts.push_back(entry->name);
  }
  window_.OnStarted(static_cast<uint32_t>(starts.size()));
  return starts;
}

std::vector<std::string> Job::OnPublishing(const std::vector<std::string>& nodes, absl::Time expiry,
                                           base::Now now) {
  std::vector<std::string> wanted;
  for (const std::string& name : nodes) {
    NodeEntry* entry = nodes_.Find(name);
    if (entry == nullptr || entry->phase != NodePhase::kClaimed) continue;
    entry->phase = NodePhase::kAsked;
    nodes_.SetDeadline(entry, now.steady + (expiry - now.wall) + kClockSkewMax);
    wanted.push_back(name);
  }
  return wanted;
}

void Job::OnUnpublishable(const std::vector<std::string>& nodes, const std::string& why,
                          base::Now now) {
  for (const std::string& name : nodes) {
    NodeEntry* entry = nodes_.Find(name);
    if (entry == nullptr || entry->phase != NodePhase::kClaimed) continue;
    End(entry, orch::v1::NODE_STATE_CANCELLED, "not_sent", why, now);
  }
  Settle(now);
}

void Job::OnSent(const std::string& node, base::Now now) {
  NodeEntry* entry = nodes_.Find(node);
  // An answer may overtake the broker's receipt.
  if (entry == nullptr || entry->phase != NodePhase::kAsked) return;
  if (entry->state != orch::v1::NODE_STATE_PENDING) return;
  entry->send_time = now.wall;
  start_time_ = std::min(start_time_, now.wall);
  AppendNode(entry, orch::v1::NODE_STATE_SENT, now);
}

void Job::OnBroadcast(base::Now now, const std::string& unconfirmed) {
  if (setup_.mutating || ended()) return;
  broadcast_time_ = now.wall;
  unconfirmed_ = unconfirmed;
  start_time_ = std::min(start_time_, now.wall);
  answers_.OnAsked(setup_, now.steady);
  for (NodeEntry& entry : nodes_.entries()) {
    if (entry.phase == NodePhase::kAsked) entry.send_time = now.wall;
  }
}

void Job::GiveUpWaiting(const std::string& why, base::Now now) {
  for (NodeEntry* entry : std::exchange(waiting_, {})) {
    End(entry, orch::v1::NODE_STATE_NO_RESPONSE, "not_sent", why, now);
  }
  Settle(now);
}

void Job::OnBus(bool connected, base::Now now) {
  if (now.steady >= judge_from_) return;
  judge_from_ = connected ? std::min(now.steady, hold_max_) + kRestoredGrace : hold_max_;
}

void Job::OnTime(base::Now now) {
  if (ended()) return;
  if (now.steady >= judge_from_) {
    while (NodeEntry* entry = nodes_.TakeOverdue(now.steady)) OnOverdue(entry, now);
  }
  if (now.steady >= answers_.NextDeadline()) OnAnswerTimeout(now);
  Settle(now);
}

void Job::OnOverdue(NodeEntry* entry, base::Now now) {
  if (IsUnderWay(entry->state)) {
    End(entry, orch::v1::NODE_STATE_TIMED_OUT, "no_result",
        absl::StrCat("accepted, but no result within ", absl::FormatDuration(setup_.run_timeout)),
        now);
    return;
  }
  End(entry, orch::v1::NODE_STATE_NO_RESPONSE, "no_acceptance",
      "no acceptance heard before the request expired: it can no longer start; whether it had "
      "started is unknown",
      now);
}

void Job::OnAnswerTimeout(base::Now now) {
  for (NodeEntry& entry : nodes_.entries()) {
    if (entry.phase != NodePhase::kAsked) continue;
    const bool heard = IsUnderWay(entry.state);
    End(&entry, heard ? orch::v1::NODE_STATE_TIMED_OUT : orch::v1::NODE_STATE_NO_RESPONSE,
        heard                  ? "no_result"
        : unconfirmed_.empty() ? "no_answer"
                               : "not_confirmed",
        SilenceText(setup_, entry, unconfirmed_), now);
  }
  if (answers_.silent_maybes() > 0) message_ = MaybesText(setup_.note, answers_.silent_maybes());
  answers_.End();
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

void Job::Stop(const std::string& why, base::Now now) {
  if (ended() || state_ == orch::v1::JOB_STATE_STOPPING) return;
  BeginStop("", absl::StrCat("stopped: ", why), now);
  Settle(now);
}

void Job::BeginStop(const std::string& caller, const std::string& message, base::Now now) {
  message_ = message;
  ChangeState(orch::v1::JOB_STATE_STOPPING, caller, message, now);
  waiting_.clear();
  answers_.End();
  for (NodeEntry& entry : nodes_.entries()) {
    // Read-only: what has not answered has changed nothing, so nobody waits for it.
    const bool waits = entry.phase == NodePhase::kWaiting || entry.phase == NodePhase::kClaimed;
    if (!waits && !(entry.phase == NodePhase::kAsked && !setup_.mutating)) continue;
    End(&entry, orch::v1::NODE_STATE_CANCELLED, cancelled_ ? "cancelled" : "stopped", message, now);
  }
}

void Job::Enter(JobState to) {
  ORCH_CHECK(MayFollow(state_, to));
  state_ = to;
}

void Job::ChangeState(JobState to, const std::string& caller, const std::string& message,
                      base::Now now) {
  Enter(to);
  orch::v1::JobStateChanged* change = Append(now)->mutable_state_changed();
  change->set_state(to);
  change->set_caller(caller);
  change->set_message(message);
  change->set_pause_reason(pause_reason());
}

absl::Status Job::Pause(const std::string& caller, base::Now now) {
  if (state_ != orch::v1::JOB_STATE_RUNNING) return NotIn("JOB_NOT_RUNNING", "running", setup_.id);
  ChangeState(orch::v1::JOB_STATE_PAUSED, caller, "", now);
  return absl::OkStatus();
}

absl::Status Job::Resume(const std::string& caller, base::Now now) {
  if (state_ != orch::v1::JOB_STATE_PAUSED) return NotIn("JOB_NOT_PAUSED", "paused", setup_.id);
  ChangeState(orch::v1::JOB_STATE_RUNNING, caller, "", now);
  return absl::OkStatus();
}

void Job::Settle(base::Now now) {
  const bool going = state_ == orch::v1::JOB_STATE_RUNNING || state_ == orch::v1::JOB_STATE_PAUSED;
  if (going && nodes_.open() > 0) {
    const std::string why = window_.StopReason();
    if (!why.empty()) BeginStop("", absl::StrCat("stopped: ", why), now);
  }
  if (!ended() && nodes_.open() == 0 && !answers_.waiting()) Finish(now);
}

void Job::Finish(base::Now now) {
  if (state_ == orch::v1::JOB_STATE_STOPPING) {
    Enter(cancelled_ ? orch::v1::JOB_STATE_CANCELLED : orch::v1::JOB_STATE_STOPPED);
  } else if (nodes_.empty()) {
    Enter(orch::v1::JOB_STATE_FAILED);
    message_ = message_.empty() ? "no node matched" : absl::StrCat("no node matched: ", message_);
  } else {
    const bool all = nodes_.count(orch::v1::NODE_STATE_SUCCEEDED) == nodes_.size();
    Enter(all ? orch::v1::JOB_STATE_SUCCEEDED : orch::v1::JOB_STATE_FAILED);
  }
  end_time_ = now.wall;
  orch::v1::JobEvent* event = Append(now);
  *event->mutable_finished() = Snapshot(true);
}

std::optional<absl::Duration> Job::NextDeadline() const {
  if (ended()) return std::nullopt;
  absl::Duration next = answers_.NextDeadline();  // infinite if mutating
  if (const auto due = nodes_.NextDeadline()) next = std::min(next, std::max(*due, judge_from_));
  if (state_ == orch::v1::JOB_STATE_RUNNING && !waiting_.empty()) {
    next = std::min(next, window_.NextDeadline(waiting()).value_or(absl::InfiniteDuration()));
  }
  if (next == absl::InfiniteDuration()) return std::nullopt;
  return next;
}

}  // namespace orch::controller
