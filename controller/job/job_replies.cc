// SPDX-License-Identifier: Apache-2.0
// The part of Job that hears what nodes say.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "base/text.h"
#include "controller/job/job.h"

namespace orch::controller {
namespace {

using orch::bus::v1::Reply;
using orch::v1::NodeState;

constexpr size_t kLateEvidenceMax = 512;

// What an action answers stands in the arm of its own name (api/orch/v1/action.proto). Another
// action's result says nothing about what was asked.
bool IsResultOf(const orch::v1::ActionResult& result, const orch::v1::Action& action) {
  const auto* asked = orch::v1::Action::descriptor()->FindFieldByNumber(action.kind_case());
  const auto* answered =
      orch::v1::ActionResult::descriptor()->FindFieldByNumber(result.kind_case());
  return asked != nullptr && answered != nullptr && asked->name() == answered->name();
}

void Shorten(std::string* text, size_t bytes_max) { *text = base::ToUtf8(*text, bytes_max); }

orch::v1::ActionProgress Shortened(orch::v1::ActionProgress progress) {
  if (!progress.has_puppet_run()) return progress;
  orch::v1::PuppetRunProgress* line = progress.mutable_puppet_run();
  Shorten(line->mutable_level(), kNodeReasonMax);
  Shorten(line->mutable_message(), kNodeMessageMax);
  Shorten(line->mutable_source(), kNodeMessageMax);
  Shorten(line->mutable_file(), kNodeMessageMax);
  return progress;
}

std::string StateWord(NodeState state) {
  return orch::v1::NodeState_Name(state).substr(sizeof("NODE_STATE_") - 1);
}

}  // namespace

std::string LateEvidence(const orch::bus::v1::Outcome& outcome, absl::Time heard) {
  return base::ToUtf8(
      absl::StrCat(StateWord(outcome.state()), ", heard at ", absl::FormatTime(heard),
                   outcome.message().empty() ? "" : ": ", outcome.message()),
      kLateEvidenceMax);
}

NodeEntry* Job::EntryOf(const Reply& reply) {
  NodeEntry* entry = nodes_.Find(reply.node());
  if (entry != nullptr) return entry;
  // Whoever matches a read-only target live is counted in; a mutating job's list is frozen.
  const bool open = !setup_.mutating && state_ == orch::v1::JOB_STATE_RUNNING;
  if (!open || reply.has_unknown_request() || nodes_.size() >= kJobNodesMax) return nullptr;
  // As if it were not there: who is named and hidden takes as long as who does not exist.
  if (setup_.listing && reply.outcome().state() == orch::v1::NODE_STATE_DENIED) return nullptr;
  entry = nodes_.Add(reply.node());
  entry->phase = NodePhase::kAsked;
  entry->send_time = broadcast_time_;
  answers_.OnAnswered(reply.node());
  return entry;
}

Job::Applied Job::Apply(const Reply& reply, base::Now now) {
  const bool news = reply.has_accepted() || reply.has_progress() || reply.has_outcome();
  if (!news && !reply.has_unknown_request()) return Applied::kMalformed;
  if (reply.has_outcome()) {
    const orch::bus::v1::Outcome& outcome = reply.outcome();
    if (!IsSaidByNodes(outcome.state())) return Applied::kMalformed;
    if (outcome.has_result() && !IsResultOf(outcome.result(), setup_.spec.action())) {
      return Applied::kMalformed;
    }
  }
  NodeEntry* entry = EntryOf(reply);
  if (entry == nullptr) return Applied::kUnknownNode;
  if (entry->phase == NodePhase::kWaiting || entry->phase == NodePhase::kClaimed) {
    return Applied::kMalformed;  // it can't have been asked yet
  }
  Applied applied = Applied::kDuplicate;
  switch (reply.kind_case()) {
    case Reply::kAccepted:
      applied = ApplyAccepted(entry, now);
      break;
    case Reply::kProgress:
      applied = ApplyProgress(entry, reply, now);
      break;
    case Reply::kOutcome:
      applied = ApplyOutcome(entry, reply, now);
      break;
    case Reply::kUnknownRequest:
      applied = ApplyUnknown(entry, reply.unknown_request().never_started(), now);
      break;
    case Reply::kDiscovered:
    case Reply::KIND_NOT_SET:
      break;
  }
  answers_.OnSpoke(nodes_.open(), now.steady);
  if (applied == Applied::kChanged) Settle(now);
  return applied;
}

Job::Applied Job::ApplyAccepted(NodeEntry* entry, base::Now now) {
  if (entry->phase == NodePhase::kEnded) {
    if (entry->said_by_node) return Applied::kDuplicate;
    return KeepLate(entry, absl::StrCat("accepted, heard at ", absl::FormatTime(now.wall)));
  }
  if (IsUnderWay(entry->state)) return Applied::kDuplicate;
  if (entry->send_time == absl::InfinitePast()) entry->send_time = now.wall;
  entry->accepted_at = now.steady;
  if (setup_.mutating) entry->accept_time = now.wall;
  AppendNode(entry, orch::v1::NODE_STATE_ACCEPTED, now);
  if (setup_.mutating) nodes_.SetDeadline(entry, now.steady + setup_.run_timeout);
  return Applied::kChanged;
}

Job::Applied Job::ApplyProgress(NodeEntry* entry, const Reply& reply, base::Now now) {
  if (entry->phase == NodePhase::kEnded) {
    if (entry->said_by_node || !entry->late_evidence.empty()) return Applied::kDuplicate;
    return KeepLate(entry, absl::StrCat("under way, heard at ", absl::FormatTime(now.wall)));
  }
  if (reply.sequence() != 0 && reply.sequence() <= entry->progress_sequence) {
    return Applied::kDuplicate;
  }
  entry->progress_sequence = reply.sequence();
  if (!IsUnderWay(entry->state) && setup_.mutating) {
    entry->accepted_at = now.steady;  // its acceptance was lost on the way
    entry->accept_time = now.wall;
    nodes_.SetDeadline(entry, now.steady + setup_.run_timeout);
  }
  if (entry->state != orch::v1::NODE_STATE_RUNNING) {
    if (setup_.mutating) entry->start_time = now.wall;
    AppendNode(entry, orch::v1::NODE_STATE_RUNNING, now);
  }
  orch::v1::ActionProgress said = Shortened(reply.progress());
  if (!progress_.Take(entry, said.ByteSizeLong())) return Applied::kChanged;
  orch::v1::JobNodeProgress* progress = Append(now)->mutable_progress();
  progress->set_node(entry->name);
  *progress->mutable_progress() = std::move(said);
  return Applied::kChanged;
}

Job::Applied Job::ApplyOutcome(NodeEntry* entry, const Reply& reply, base::Now now) {
  const orch::bus::v1::Outcome& outcome = reply.outcome();
  if (entry->phase == NodePhase::kEnded) {
    if (entry->state == outcome.state()) return Applied::kDuplicate;
    if (!setup_.plants.late_reply_overwrites || ended()) {
      return KeepLate(entry, LateEvidence(outcome, now.wall));
    }
    nodes_.Reopen(entry);
  }
  if (setup_.mutating && outcome.has_result() && entry->start_time == absl::InfinitePast()) {
    entry->start_time = now.wall;
  }
  orch::v1::JobNode* node = End(entry, outcome.state(), outcome.reason(), outcome.message(), now);
  entry->said_by_node = true;
  if (outcome.has_result()) {
    *node->mutable_result() = outcome.result();
    if (outcome.result().has_puppet_run()) {
      const int verdict = outcome.result().puppet_run().verdict();
      if (orch::v1::PuppetRunVerdict_IsValid(verdict)) ++verdicts_[verdict];
      const orch::v1::PuppetRunResult& run = outcome.result().puppet_run();
      if (entry->started && run.has_config_retrieval_time()) {
        changes_.ends.back().retrieval = ToDuration(run.config_retrieval_time());
      }
    }
  }
  return Applied::kChanged;
}

Job::Applied Job::ApplyUnknown(NodeEntry* entry, bool never_started, base::Now now) {
  if (entry->phase == NodePhase::kEnded) return Applied::kDuplicate;
  if (IsUnderWay(entry->state)) {
    End(entry, orch::v1::NODE_STATE_LOST, "journal_lost",
        "accepted, but the node knows nothing of it any more: what happened is unknown", now);
    return Applied::kChanged;
  }
  // The request may still be on its way to it, and a node whose clock is slow takes it for that
  // much longer than it is valid: so until the deadline, which has the skew in it.
  if (now.steady < entry->deadline) return Applied::kDuplicate;
  if (never_started) {
    End(entry, orch::v1::NODE_STATE_NO_RESPONSE, "never_arrived",
        "the request never reached the node: it can no longer start", now);
  } else {
    End(entry, orch::v1::NODE_STATE_NO_RESPONSE, "journal_lost",
        "the node knows nothing of the request, and can't tell whether its journal once did: it "
        "can no longer start; whether it had started is unknown",
        now);
  }
  return Applied::kChanged;
}

Job::Applied Job::KeepLate(NodeEntry* entry, std::string evidence) {
  if (++entry->late > kLateMax) return Applied::kDuplicate;
  entry->late_evidence = base::ToUtf8(evidence, kLateEvidenceMax);
  nodes_.MarkChanged(entry);
  return Applied::kLate;
}

}  // namespace orch::controller
