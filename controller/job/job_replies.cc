// SPDX-License-Identifier: Apache-2.0
// The part of Job that hears what nodes say.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "controller/job/job.h"

namespace orch::controller {
namespace {

using orch::bus::v1::Reply;
using orch::v1::NodeState;

constexpr size_t kLateEvidenceMax = 512;

bool IsOutcomeOfANode(NodeState state) {
  return state >= orch::v1::NODE_STATE_SUCCEEDED && state <= orch::v1::NODE_STATE_CANCELLED &&
         state != orch::v1::NODE_STATE_NO_RESPONSE;
}

// At most so many bytes, and no half character: text of a message must be UTF-8.
void Shorten(std::string* text, size_t most) {
  if (text->size() <= most) return;
  while (most > 0 && (static_cast<unsigned char>((*text)[most]) & 0xc0) == 0x80) --most;
  text->resize(most);
}

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
  std::string text =
      absl::StrCat(StateWord(outcome.state()), ", heard at ", absl::FormatTime(heard),
                   outcome.message().empty() ? "" : ": ", outcome.message());
  text.resize(std::min(text.size(), kLateEvidenceMax));
  return text;
}

Job::Applied Job::Apply(const Reply& reply, base::Now now) {
  const bool news = reply.has_accepted() || reply.has_progress() || reply.has_outcome();
  if (!news && !reply.has_unknown_request()) return Applied::kMalformed;
  if (reply.has_outcome() && !IsOutcomeOfANode(reply.outcome().state())) {
    return Applied::kMalformed;
  }
  Record* record = Find(reply.node());
  if (record == nullptr) {
    // Whoever matches a read-only target live is counted in; a mutating job's list is frozen.
    const bool open = !setup_.mutating && state_ == orch::v1::JOB_STATE_RUNNING;
    if (!open || !news || nodes_.size() >= kJobNodesMax) return Applied::kUnknownNode;
    // As if it were not there: who is named and hidden takes as long as who does not exist.
    if (setup_.listing && reply.outcome().state() == orch::v1::NODE_STATE_DENIED) {
      return Applied::kUnknownNode;
    }
    record = &nodes_[AddNode(reply.node())];
    record->phase = Phase::kAsked;
    record->send_time = broadcast_time_;
    maybe_.erase(reply.node());
  }
  if (record->phase == Phase::kWaiting || record->phase == Phase::kClaimed) {
    return Applied::kMalformed;  // it can't have been asked yet
  }
  Applied applied = Applied::kDuplicate;
  switch (reply.kind_case()) {
    case Reply::kAccepted:
      applied = ApplyAccepted(record, now);
      break;
    case Reply::kProgress:
      applied = ApplyProgress(record, reply, now);
      break;
    case Reply::kOutcome:
      applied = ApplyOutcome(record, reply, now);
      break;
    case Reply::kUnknownRequest:
      applied = ApplyUnknown(record, now);
      break;
    case Reply::kDiscovered:
    case Reply::KIND_NOT_SET:
      break;
  }
  if (!setup_.mutating) {
    const absl::Duration quiet = now.steady + kQuietWindow;
    answer_deadline_ = std::max(answer_deadline_, std::min(quiet, stretch_max_));
  }
  // Nobody was expected, so the only sign of the end is silence.
  if (until_quiet_) {
    quiet_deadline_ = open_ == 0 ? now.steady + kQuietWindow : absl::InfiniteDuration();
  }
  if (applied == Applied::kChanged) Settle(now);
  return applied;
}

Job::Applied Job::ApplyAccepted(Record* record, base::Now now) {
  if (record->phase == Phase::kEnded) {
    if (record->said_by_node) return Applied::kDuplicate;
    return KeepLate(record, absl::StrCat("accepted, heard at ", absl::FormatTime(now.wall)));
  }
  if (record->state >= orch::v1::NODE_STATE_ACCEPTED) return Applied::kDuplicate;
  if (record->send_time == absl::InfinitePast()) record->send_time = now.wall;
  AppendNode(record, orch::v1::NODE_STATE_ACCEPTED, now);
  if (setup_.mutating) SetDeadline(record, now.steady + setup_.run_timeout);
  return Applied::kChanged;
}

Job::Applied Job::ApplyProgress(Record* record, const Reply& reply, base::Now now) {
  if (record->phase == Phase::kEnded) {
    if (record->said_by_node || !record->late_evidence.empty()) return Applied::kDuplicate;
    return KeepLate(record, absl::StrCat("under way, heard at ", absl::FormatTime(now.wall)));
  }
  if (reply.sequence() != 0 && reply.sequence() <= record->progress_sequence) {
    return Applied::kDuplicate;
  }
  record->progress_sequence = reply.sequence();
  if (record->state < orch::v1::NODE_STATE_ACCEPTED && setup_.mutating) {
    SetDeadline(record, now.steady + setup_.run_timeout);  // its acceptance was lost on the way
  }
  if (record->state != orch::v1::NODE_STATE_RUNNING) {
    AppendNode(record, orch::v1::NODE_STATE_RUNNING, now);
  }
  orch::v1::ActionProgress said = Shortened(reply.progress());
  const size_t bytes = said.ByteSizeLong();
  if (record->progress >= kProgressPerNodeMax || progress_ >= kProgressPerJobMax ||
      record->progress_bytes + bytes > kProgressBytesPerNodeMax) {
    ++progress_dropped_;
    return Applied::kChanged;
  }
  ++record->progress;
  record->progress_bytes += static_cast<uint32_t>(bytes);
  ++progress_;
  orch::v1::JobNodeProgress* progress = Append(now)->mutable_progress();
  progress->set_node(record->name);
  *progress->mutable_progress() = std::move(said);
  return Applied::kChanged;
}

Job::Applied Job::ApplyOutcome(Record* record, const Reply& reply, base::Now now) {
  const orch::bus::v1::Outcome& outcome = reply.outcome();
  if (record->phase == Phase::kEnded) {
    if (record->state == outcome.state()) return Applied::kDuplicate;
    if (!setup_.plants.late_reply_overwrites || ended()) {
      return KeepLate(record, LateEvidence(outcome, now.wall));
    }
    record->phase = Phase::kAsked;
    record->started = false;
  }
  orch::v1::JobNode* node = End(record, outcome.state(), outcome.reason(), outcome.message(), now);
  record->said_by_node = true;
  if (outcome.has_result()) {
    *node->mutable_result() = outcome.result();
    if (outcome.result().has_puppet_run()) {
      const int verdict = outcome.result().puppet_run().verdict();
      if (orch::v1::PuppetRunVerdict_IsValid(verdict)) ++verdicts_[verdict];
    }
  }
  return Applied::kChanged;
}

Job::Applied Job::ApplyUnknown(Record* record, base::Now now) {
  if (record->phase == Phase::kEnded) return Applied::kDuplicate;
  if (record->state >= orch::v1::NODE_STATE_ACCEPTED) {
    End(record, orch::v1::NODE_STATE_LOST, "journal_lost",
        "accepted, but the node knows nothing of it any more: what happened is unknown", now);
    return Applied::kChanged;
  }
  // The request may still be on its way to it until it has expired.
  if (now.steady + kClockSkewMax < record->deadline) return Applied::kDuplicate;
  End(record, orch::v1::NODE_STATE_NO_RESPONSE, "never_arrived",
      "the request never reached the node: it can no longer start", now);
  return Applied::kChanged;
}

Job::Applied Job::KeepLate(Record* record, std::string evidence) {
  if (++record->late > kLateMax) return Applied::kDuplicate;
  evidence.resize(std::min(evidence.size(), kLateEvidenceMax));
  record->late_evidence = std::move(evidence);
  MarkChanged(record);
  return Applied::kLate;
}

}  // namespace orch::controller
