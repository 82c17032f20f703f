// SPDX-License-Identifier: Apache-2.0
// What becomes of a request that stopped: a counter, a log line, and an answer where the controller
// is owed one.
#include "absl/strings/str_cat.h"
#include "api/catalog.h"
#include "api/wire_text.h"
#include "base/ids.h"
#include "base/proto_time.h"
#include "nodeagent/agent/agent.h"

namespace orch::nodeagent {

using orch::bus::v1::Outcome;

namespace {

// Stops that belong to a fleet's ordinary day: counted, not logged.
bool IsOrdinary(Rung rung) {
  return rung == Rung::kNotNamed || rung == Rung::kNotMatched || rung == Rung::kReplayed ||
         rung == Rung::kKnown;
}

// Whether the very same request could get further another time.
bool MayPassLater(Rung rung) {
  return rung != Rung::kUnsupported && rung != Rung::kInvalid && rung != Rung::kExpired &&
         rung != Rung::kLifetime;
}

orch::v1::NodeState StateOf(Rung rung) {
  if (rung == Rung::kDenied) return orch::v1::NODE_STATE_DENIED;
  if (rung == Rung::kCancelled) return orch::v1::NODE_STATE_CANCELLED;
  return orch::v1::NODE_STATE_REFUSED;
}

}  // namespace

void Agent::Note(const Message& message, const Stop& stop) {
  ++counters_.stopped[static_cast<size_t>(stop.rung)];
  if (IsOrdinary(stop.rung)) return;
  const std::string what = KindWords(message.request);
  recent_stops_.push_back({message.now.wall, stop, message.signer.common_name, what});
  if (recent_stops_.size() > kRecentStopsMax) recent_stops_.pop_front();
  uint64_t suppressed = 0;
  const std::string key = absl::StrCat(RungName(stop.rung), " ", message.signer.common_name);
  if (!limiter_.Admit(key, message.now, &suppressed)) return;
  // Before the signature held there is no exchange, and no id that could be believed.
  static const Exchange kNone = {};
  const Exchange& exchange = message.exchange == nullptr ? kNone : *message.exchange;
  const bool has_id = exchange.request_id.size() == 16;
  base::LogWarning("request refused", {{"job_id", exchange.job_id},
                                       {"request_id", has_id ? base::Hex(exchange.request_id) : ""},
                                       {"reason", RungName(stop.rung)},
                                       {"why", stop.why},
                                       {"signer", message.signer.common_name},
                                       {"what", what},
                                       {"caller", message.request.caller()},
                                       {"not_logged", suppressed},
                                       {"trace_id", exchange.trace.trace_id},
                                       {"span_id", exchange.trace.span_id}});
}

// Whether the controller is owed an answer: it signed, this node was meant, and it is not asked too
// often.
bool Agent::MayAnswer(const Message& message, const Stop& stop) {
  const orch::bus::v1::Request& request = message.request;
  const bool told = IsAnswered(stop.rung) || (stop.rung == Rung::kNotMatched &&
                                              IsNamedAlone(request) && request.has_action());
  if (!told || message.exchange == nullptr || request.request_id().size() != 16) return false;
  if (!request.has_action() && !request.has_discover() && stop.rung != Rung::kUnsupported) {
    return false;
  }
  if (CheckMeant(request, message.collective, parts_.self)) return false;
  if (request.nodes().empty() && CheckTarget(request, *parts_.facts)) return false;
  return repeats_.Take(message.now);
}

void Agent::Refuse(const MessagePtr& message, const Stop& stop) {
  Note(*message, stop);
  const std::string& id = message->request.request_id();
  // A copy of what is on its way to its start, or under way, is not answered: the refusal would be
  // believed and the run take place all the same.
  if (climbing_.contains(id) || running_.contains(id) || !MayAnswer(*message, stop)) return;
  if (!IsMutating(message->request)) return AnswerStop(message, stop);
  // A late copy of a request that was accepted long ago must not look like its outcome.
  parts_.journal->PostFind(
      id, lifetime_.Guard([this, message, stop](absl::StatusOr<std::optional<JournalEntry>> found) {
        if (!found.ok() || !found->has_value()) AnswerStop(message, stop);
      }));
}

void Agent::AnswerStop(const MessagePtr& message, const Stop& stop) {
  const orch::bus::v1::Request& request = message->request;
  if (request.has_discover()) {
    orch::bus::v1::Discovered discovered;
    discovered.set_state(StateOf(stop.rung));
    discovered.set_reason(std::string(ReasonOf(stop.rung)));
    discovered.set_message(stop.why);
    return replies_.SendDiscovered(message->exchange.get(), std::move(discovered));
  }
  if (IsMutating(request) && MayPassLater(stop.rung)) {
    // What was refused never starts later, whoever sends it again; where that can't be remembered,
    // silence is the truth.
    const absl::Time until = ToTime(request.expire_time());
    if (refused_.Add(request.request_id(), until, message->now.wall) ==
        ReplayWindow::Added::kFull) {
      return;
    }
  }
  replies_.SendOutcome(message->exchange.get(),
                       MakeOutcome(StateOf(stop.rung), ReasonOf(stop.rung), stop.why));
}

// A mutating request that this node, as it is now, declines: kept like any outcome, so that it
// holds after a restart and a result query brings it back.
void Agent::RefuseDurably(const MessagePtr& message, const Stop& stop) {
  const std::string id = message->request.request_id();
  Note(*message, stop);
  if (!MayAnswer(*message, stop)) {
    climbing_.erase(id);
    return;
  }
  parts_.journal->PostAccept(
      ForJournal(*message),
      lifetime_.Guard([this, message, stop, id](absl::StatusOr<AcceptResult> result) {
        climbing_.erase(id);
        if (!result.ok()) return AnswerStop(message, stop);
        if (result->acceptance == Acceptance::kDuplicate) {
          return AnswerKnown(*message, result->known);
        }
        if (result->acceptance != Acceptance::kAccepted) return AnswerStop(message, stop);
        const Outcome outcome = MakeOutcome(StateOf(stop.rung), ReasonOf(stop.rung), stop.why);
        parts_.journal->PostFinish(
            id, api::SerializeHealing(outcome),
            lifetime_.Guard([this, message, outcome](const absl::Status& status) {
              if (!status.ok()) LogJournal("keep an outcome", status);
              replies_.SendOutcome(message->exchange.get(), outcome);
            }));
      }));
}

// The same request again: what is known of it, never a second start.
void Agent::AnswerKnown(const Message& message, const JournalEntry& entry) {
  if (entry.request.digest != message.digest) {
    return Note(message, {Rung::kInvalid, "its request id is that of another request"});
  }
  Note(message, {Rung::kKnown, "it came before"});
  if (!repeats_.Take(message.now)) return;
  AnswerResult(message, entry.request.request_id, entry, true);
}

}  // namespace orch::nodeagent
