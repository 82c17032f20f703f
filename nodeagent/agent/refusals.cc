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

orch::v1::NodeState StateOf(Rung rung) {
  if (rung == Rung::kDenied) return orch::v1::NODE_STATE_DENIED;
  if (rung == Rung::kCancelled) return orch::v1::NODE_STATE_CANCELLED;
  return orch::v1::NODE_STATE_REFUSED;
}

// What an answer to a question for its result needs; a refused request may be of any size.
std::string WithoutArguments(const orch::bus::v1::Request& request) {
  orch::bus::v1::Request kept;
  kept.set_protocol(request.protocol());
  kept.set_request_id(request.request_id());
  kept.set_collective(request.collective());
  kept.set_job_id(request.job_id());
  kept.set_controller(request.controller());
  kept.set_caller(request.caller());
  if (request.traceparent().size() <= kTraceparentMax) kept.set_traceparent(request.traceparent());
  return kept.SerializeAsString();
}

}  // namespace

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
  stops_.Note(*message, stop);
  const orch::bus::v1::Request& request = message->request;
  const std::string& id = request.request_id();
  // A copy of what is on its way to its start, or under way, is not answered: the refusal would be
  // believed and the run take place all the same.
  if (climbing_.contains(id) || under_way_.Contains(id) || !MayAnswer(*message, stop)) return;
  if (request.has_discover()) {
    orch::bus::v1::Discovered discovered;
    discovered.set_state(StateOf(stop.rung));
    discovered.set_reason(std::string(ReasonOf(stop.rung)));
    discovered.set_message(stop.why);
    return replies_.SendDiscovered(message->exchange.get(), std::move(discovered));
  }
  const Outcome outcome = MakeOutcome(StateOf(stop.rung), ReasonOf(stop.rung), stop.why);
  if (!IsMutating(request)) return replies_.SendOutcome(message->exchange.get(), outcome);
  // Durable, then told: the very same request, sent again to whoever comes up after a kill, is
  // refused again. Where it can't be remembered, or was accepted long ago, silence is the truth.
  JournalRequest kept = ForJournal(*message);
  kept.request = WithoutArguments(request);
  parts_.journal->PostRefuse(
      std::move(kept), outcome.SerializeAsString(),
      lifetime_.Guard([this, message, outcome](const absl::StatusOr<bool>& remembered) {
        if (!remembered.ok()) return LogJournal("keep a refusal", remembered.status());
        if (*remembered) replies_.SendOutcome(message->exchange.get(), outcome);
      }));
}

// The same request again: what is known of it, never a second start.
void Agent::AnswerKnown(const Message& message, const JournalEntry& entry) {
  if (entry.request.digest != message.digest) {
    return stops_.Note(message, {Rung::kInvalid, "its request id is that of another request"});
  }
  stops_.Note(message, {Rung::kKnown, "it came before"});
  if (!repeats_.Take(message.now)) return;
  AnswerResult(message, entry.request.request_id, entry, true);
}

}  // namespace orch::nodeagent
