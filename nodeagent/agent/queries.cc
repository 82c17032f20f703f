// SPDX-License-Identifier: Apache-2.0
// All that a controller asks besides actions: discovery, presence, results, cancelling; and what it
// tells: beacons, CRLs.
#include "absl/strings/str_cat.h"
#include "base/ids.h"
#include "base/proto_time.h"
#include "nodeagent/agent/agent.h"

namespace orch::nodeagent {

using orch::bus::v1::Request;

namespace {

bool Offers(const Actions& actions, const std::string& action, bool* mutates) {
  for (const orch::v1::NodeAction& offered : actions.Offered()) {
    if (offered.name() != action) continue;
    *mutates = offered.mutates();
    return true;
  }
  return false;
}

}  // namespace

// What changes nothing may be lost, but is not done twice.
std::optional<Stop> Agent::CheckOnce(const Message& message) {
  switch (replay_.Add(message.request.request_id(), ToTime(message.request.expire_time()),
                      message.now.wall)) {
    case ReplayWindow::Added::kNew:
      return std::nullopt;
    case ReplayWindow::Added::kSeen:
      return Stop{Rung::kReplayed, "it came before"};
    case ReplayWindow::Added::kFull:
      break;
  }
  return Stop{Rung::kReplayWindow,
              absl::StrCat(kReplayWindowMax, " requests are remembered already")};
}

std::optional<Stop> Agent::OnQuery(const MessagePtr& message) {
  const Request& request = message->request;
  switch (request.kind_case()) {
    case Request::kDiscover:
      return OnDiscover(*message);
    case Request::kCrl:
      return OnCrl(*message);
    case Request::kPresenceQuery:
      if (auto stop = CheckTarget(request, *parts_.facts)) return stop;
      presence_.Answer(request.presence_query().facts(), request.presence_query().certificates());
      break;
    case Request::kResultQuery:
      OnResultQuery(message);
      break;
    case Request::kCancel:
      OnCancel(*message);
      break;
    case Request::kBeacon:
    case Request::kAction:
    case Request::KIND_NOT_SET:
      ORCH_CHECK(false);  // Climb and the strict parse took them
  }
  stops_.CountPassed();
  return std::nullopt;
}

// Whether this node would. Disabled or busy is no reason: a run says so itself, at its time.
std::optional<Stop> Agent::OnDiscover(const Message& message) {
  const Request& request = message.request;
  if (auto stop = CheckTarget(request, *parts_.facts)) return stop;
  bool mutates = false;
  if (!Offers(*parts_.actions, request.discover().action(), &mutates)) {
    return Stop{Rung::kUnsupported,
                absl::StrCat("this node does not offer ", request.discover().action())};
  }
  if (auto stop = CheckConditions(request, policy_.get(), *parts_.facts)) return stop;
  if (auto stop = CheckClock(message); stop && mutates) return stop;
  stops_.CountPassed();
  orch::bus::v1::Discovered discovered;
  discovered.set_willing(true);
  replies_.SendDiscovered(message.exchange.get(), std::move(discovered));
  return std::nullopt;
}

std::optional<Stop> Agent::OnBeacon(const Message& message) {
  if (!beacons_.OnBeacon(message.request, message.now)) {
    return Stop{Rung::kReplayed, "a newer beacon was heard"};
  }
  stops_.CountPassed();
  presence_.OnBeacon();
  const Beacons::Seen& seen = beacons_.seen().at(message.request.controller());
  if (parts_.credentials->IsBehind(seen.crl_numbers)) presence_.AskForCrls();
  const auto skew = beacons_.Skew(message.request.controller(), message.now);
  parts_.client->SetClockSkew(*skew);
  if (absl::AbsDuration(*skew) > kClockSkewMax && limiter_.Admit("clock skew", message.now)) {
    base::LogWarning(
        "the clock is off: mutating requests are refused",
        {{"controller", message.request.controller()}, {"skew", absl::FormatDuration(*skew)}});
  }
  return std::nullopt;
}

std::optional<Stop> Agent::OnCrl(const Message& message) {
  const auto whole = crl_parts_.OnPart(message.request.crl(), message.now);
  if (!whole.ok()) return Stop{Rung::kInvalid, std::string(whole.status().message())};
  stops_.CountPassed();
  if (whole->empty()) return std::nullopt;
  const auto changed = parts_.credentials->UpdateCrl(*whole, message.now.wall);
  if (!changed.ok()) return Stop{Rung::kInvalid, std::string(changed.status().message())};
  if (*changed) base::LogInfo("took over a CRL", {{"controller", message.request.controller()}});
  return std::nullopt;
}

void Agent::OnCancel(const Message& message) {
  const std::string& job = message.request.cancel().job_id();
  base::LogInfo("job cancelled", {{"job_id", job},
                                  {"controller", message.request.controller()},
                                  {"caller", message.request.caller()},
                                  {"trace_id", message.exchange->trace.trace_id},
                                  {"span_id", message.exchange->trace.span_id}});
  cancels_.Add(job, ToTime(message.request.issue_time()), message.now);
  parts_.actions->Cancel(job);
}

void Agent::OnResultQuery(const MessagePtr& message) {
  // A request is never older than its job, and the job's id says when that was made. Without a job
  // nothing is known of when, so nothing is claimed.
  const std::string& job = message->request.job_id();
  const absl::Time since = job.empty() ? absl::InfinitePast() : base::UlidTime(job);
  parts_.journal->PostWholeSince(since, lifetime_.Guard([this, message](bool whole) {
    for (const std::string& id : message->request.result_query().request_ids()) {
      parts_.journal->PostFind(
          id, lifetime_.Guard([this, message, id,
                               whole](absl::StatusOr<std::optional<JournalEntry>> found) {
            if (found.ok()) return AnswerResult(*message, id, *found, whole);
            // Whether it was started is not known, and "unknown" would say that it was not:
            // the controller asks again.
            base::LogError("look up a request in the journal",
                           {{"request_id", base::Hex(id)}, {"error", found.status().ToString()}});
          }));
    }
  }));
}

// What is known of a mutating request, to the controller that made it: its outcome, or that it is
// under way.
void Agent::AnswerResult(const Message& query, const std::string& request_id,
                         const std::optional<JournalEntry>& entry, bool whole) {
  Request request;
  if (!entry || !request.ParseFromString(entry->request.request) ||
      request.controller() != query.request.controller()) {
    const bool never_started = whole && !entry && !climbing_.contains(request_id);
    return replies_.SendUnknown(*query.exchange, request_id, never_started);
  }
  const Running* const running = under_way_.Find(request_id);
  const auto exchange = running != nullptr
                            ? running->exchange
                            : ResumedExchange(request, parts_.self.identity, entry->request.digest,
                                              entry->accept_time, parts_.clock->Read().wall);
  orch::bus::v1::Outcome outcome;
  if (entry->state == JournalState::kDone && outcome.ParseFromString(entry->outcome)) {
    return replies_.SendOutcome(exchange.get(), outcome);
  }
  replies_.SendAccepted(exchange.get(), entry->accept_time);
}

}  // namespace orch::nodeagent
