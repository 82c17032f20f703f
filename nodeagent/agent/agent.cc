// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/agent/agent.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/catalog.h"
#include "api/wire_text.h"
#include "base/ids.h"
#include "base/proto_time.h"

namespace orch::nodeagent {

using orch::bus::v1::Outcome;
using orch::bus::v1::Request;

Agent::Agent(AgentParts parts)
    : parts_(std::move(parts)),
      policy_(parts_.policy),
      replies_(parts_.clock, parts_.self.identity, parts_.destinations, parts_.client,
               parts_.credentials),
      presence_(PresenceParts{parts_.clock, parts_.self.identity, parts_.self.collectives,
                              parts_.destinations, parts_.client, parts_.credentials,
                              parts_.actions, parts_.facts, &stops_, parts_.presence_interval,
                              parts_.start_time, parts_.random}),
      under_way_(parts_.clock, parts_.running_max),
      cancels_(parts_.journal) {}

Agent::~Agent() = default;

void Agent::Start() {
  for (const std::string& collective : parts_.self.collectives) {
    const auto take = lifetime_.Guard(
        [this, collective](const bus::Delivery& delivery) { OnMessage(collective, delivery); });
    parts_.client->Subscribe(parts_.destinations.Request(collective), take);
    parts_.client->Subscribe(parts_.destinations.Node(collective, parts_.self.identity), take);
  }
  cancels_.Load(parts_.clock);
  parts_.journal->PostUnfinished(
      lifetime_.Guard([this](absl::StatusOr<std::vector<JournalEntry>> entries) {
        if (!entries.ok()) return LogJournal("read the journal", entries.status());
        for (const JournalEntry& entry : *entries) Resume(entry);
      }));
  parts_.client->Start(lifetime_.Guard([this](bool connected) { OnConnection(connected); }));
}

// ---- A request's life. -------------------------------------------------------------------------

void Agent::OnMessage(const std::string& collective, const bus::Delivery& delivery) {
  ORCH_CHECK_ON(parts_.strand);
  stops_.CountReceived();
  auto message = std::make_shared<Message>();
  message->collective = collective;
  message->now = parts_.clock->Read();
  if (const auto stop = Climb(message, delivery.body)) Refuse(message, *stop);
  parts_.on_change();
}

// The rungs that need no disk; a mutating action goes on in OnLookedUp, everything else ends here.
std::optional<Stop> Agent::Climb(const MessagePtr& message, const std::string& body) {
  const Request& request = message->request;
  if (auto stop = Open(body, message.get())) return stop;
  if (auto stop = CheckMeant(request, message->collective, parts_.self)) return stop;
  if (request.has_beacon()) return OnBeacon(*message);  // measures the clock: no time window
  auto late = CheckTime(request, message->now.wall);
  if (late && !parts_.plants.expired_accepted) return late;
  if (IsMutating(request)) {
    if (auto stop = CheckClock(*message)) return stop;
    return LookUp(message);
  }
  // What is under way is not taken over by another request with its id, whoever signed that.
  const std::string& id = request.request_id();
  if (climbing_.contains(id) || under_way_.Contains(id)) {
    return Stop{Rung::kReplayed, "its request id is that of a request under way"};
  }
  if (auto stop = CheckOnce(*message)) return stop;
  if (!request.has_action()) return OnQuery(message);
  if (auto stop = CheckNode(*message)) return stop;
  stops_.CountPassed();
  Run(message, message->now.wall);
  return std::nullopt;
}

// Size, envelope, chain, CRL, signature; role and name of the signer; the strict parse.
std::optional<Stop> Agent::Open(const std::string& body, Message* message) const {
  std::string payload;
  trust::Refusal refusal = trust::Refusal::kEnvelope;
  const auto signer = parts_.credentials->Open(trust::Domain::kRequest, body, message->now.wall,
                                               &payload, &refusal);
  if (!signer.ok()) return Stop{RungOf(refusal), std::string(signer.status().message())};
  message->signer = *signer;
  if (auto stop = CheckSigner(*signer, parts_.self)) return stop;
  message->digest = trust::Sha256(payload);
  auto stop = ParseStrictly(payload, *signer, &message->request);
  message->exchange = NewExchange(message->request, parts_.self.identity, message->digest);
  return stop;
}

// Expiry is all that keeps a late request from starting: it needs a clock that agrees with the
// controller's.
std::optional<Stop> Agent::CheckClock(const Message& message) const {
  const auto skew = beacons_.Skew(message.request.controller(), message.now);
  if (!skew || absl::AbsDuration(*skew) <= kClockSkewMax) return std::nullopt;
  return Stop{Rung::kClock, absl::StrCat("this node's clock is ", absl::ToInt64Seconds(*skew),
                                         " s off the controller's")};
}

// Was it here before? In this process, or in the journal.
std::optional<Stop> Agent::LookUp(const MessagePtr& message) {
  const std::string& id = message->request.request_id();
  if (climbing_.contains(id)) return Stop{Rung::kReplayed, "it is being looked at already"};
  if (climbing_.size() >= kClimbingMax) {
    return Stop{Rung::kCapacity, "too many requests wait for the journal"};
  }
  climbing_.insert(id);
  parts_.journal->PostFind(
      id, lifetime_.Guard([this, message](absl::StatusOr<std::optional<JournalEntry>> found) {
        OnLookedUp(message, found);
        parts_.on_change();
      }));
  return std::nullopt;
}

void Agent::OnLookedUp(const MessagePtr& message,
                       const absl::StatusOr<std::optional<JournalEntry>>& found) {
  std::optional<Stop> stop;
  if (!found.ok()) {
    under_way_.CountJournalFailure();
    stop = Stop{Rung::kJournal, std::string(found.status().message())};
  } else if (!found->has_value()) {
    stop = CheckNode(*message);
    if (!stop) return Accept(message);
  }
  climbing_.erase(message->request.request_id());
  if (stop) return Refuse(message, *stop);
  AnswerKnown(*message, **found);
}

// What depends on this node as it is now: target, conditions, capacity.
std::optional<Stop> Agent::CheckNode(const Message& message) const {
  const Request& request = message.request;
  if (auto stop = CheckTarget(request, *parts_.facts)) return stop;
  if (auto stop = CheckConditions(request, policy_.get(), *parts_.facts)) return stop;
  if (leaving_) return Stop{Rung::kCapacity, "this node agent is being stopped"};
  if (!request.job_id().empty() && cancels_.Contains(request.job_id(), message.now)) {
    return Stop{Rung::kCancelled, "the job was cancelled before the request arrived"};
  }
  if (const auto full = under_way_.WhyFull(IsMutating(request))) {
    return Stop{Rung::kCapacity, *full};
  }
  return std::nullopt;
}

// Durable before anything happens: from here on this request can't start a second time.
void Agent::Accept(const MessagePtr& message) {
  under_way_.BeginAccepting(message->request.request_id());
  parts_.journal->PostAccept(ForJournal(*message),
                             lifetime_.Guard([this, message](absl::StatusOr<AcceptResult> result) {
                               climbing_.erase(message->request.request_id());
                               under_way_.EndAccepting(message->request.request_id());
                               OnAccepted(message, result);
                               parts_.on_change();
                             }));
}

void Agent::OnAccepted(const MessagePtr& message, const absl::StatusOr<AcceptResult>& result) {
  if (!result.ok()) {
    under_way_.CountJournalFailure();
    return Refuse(message, {Rung::kJournal, std::string(result.status().message())});
  }
  switch (result->acceptance) {
    case Acceptance::kAccepted: {
      stops_.CountPassed();
      const absl::Time accepted = parts_.clock->Read().wall;
      replies_.SendAccepted(message->exchange.get(), accepted);
      return Run(message, accepted);
    }
    case Acceptance::kDuplicate:
      return AnswerKnown(*message, result->known);
    case Acceptance::kStale:
      return Refuse(message,
                    {Rung::kJournal, absl::StrCat("issued before ", absl::FormatTime(result->floor),
                                                  ": whether it ran already can't be told")});
    case Acceptance::kExpired:
      return Refuse(message, {Rung::kExpired, "expired while it waited for the journal"});
    case Acceptance::kFull:
      return Refuse(message, {Rung::kCapacity, "the journal is full"});
  }
}

// The top of the ladder.
void Agent::Run(const MessagePtr& message, absl::Time accepted) {
  const Request& request = message->request;
  const std::string id = request.request_id();
  under_way_.Add(id,
                 Running{message->exchange, api::NameOf(request.action().action()),
                         request.caller(), IsMutating(request), accepted},
                 IsMutating(request) ? "request accepted" : "request started");
  if (cancels_.Contains(request.job_id(), parts_.clock->Read())) {
    return OnDone(id, MakeOutcome(orch::v1::NODE_STATE_CANCELLED, "cancelled",
                                  "the job was cancelled before it started here"));
  }
  if (IsMutating(request)) under_way_.Log("request started", id);
  parts_.actions->Start(MakeCall(request));
}

// After a restart: accepted, not ended.
void Agent::Resume(const JournalEntry& entry) {
  Request request;
  if (!request.ParseFromString(entry.request.request)) {
    base::LogError("journal: a request that does not parse",
                   {{"request_id", base::Hex(entry.request.request_id)}});
    return;
  }
  const auto exchange = ResumedExchange(request, parts_.self.identity, entry.request.digest,
                                        entry.accept_time, parts_.clock->Read().wall);
  under_way_.Add(request.request_id(),
                 Running{exchange, api::NameOf(request.action().action()), request.caller(), true,
                         entry.accept_time},
                 "request taken up again");
  parts_.actions->Resume(MakeCall(request));
}

// The end: kept first, then told.
void Agent::OnDone(const std::string& request_id, Outcome outcome) {
  const Running* const running = under_way_.Find(request_id);
  if (running == nullptr) return;
  if (outcome.result().has_puppet_run()) {
    auto* run = outcome.mutable_result()->mutable_puppet_run();
    run->set_progress_omitted(run->progress_omitted() + running->exchange->omitted);
  }
  FitOutcome(&outcome);
  const Running done = *under_way_.End(request_id, outcome);
  parts_.on_change();
  if (!done.mutates) return replies_.SendOutcome(done.exchange.get(), outcome);
  presence_.OnChange();
  parts_.journal->PostFinish(
      request_id, api::SerializeHealing(outcome),
      lifetime_.Guard([this, exchange = done.exchange, outcome](const absl::Status& status) {
        // The controller learns it all the same: a restarted agent would only tell it again.
        if (!status.ok()) LogJournal("keep an outcome", status);
        replies_.SendOutcome(exchange.get(), outcome);
      }));
}

void Agent::LogJournal(absl::string_view what, const absl::Status& status) {
  under_way_.CountJournalFailure();
  base::LogError(what, {{"error", status.ToString()}});
}

// ---- Around it. --------------------------------------------------------------------------------

JournalRequest Agent::ForJournal(const Message& message) const {
  Request kept = message.request;
  api::RedactSensitive(kept.mutable_action()->mutable_action());
  JournalRequest out;
  out.request_id = kept.request_id();
  out.digest = message.digest;
  out.job_id = kept.job_id();
  out.controller = kept.controller();
  out.caller = kept.caller();
  out.stops = kept.action().action().has_puppet_disable();
  out.request = api::SerializeHealing(kept);
  out.issue_time = ToTime(kept.issue_time());
  out.expire_time = ToTime(kept.expire_time());
  return out;
}

ActionCall Agent::MakeCall(const Request& request) {
  ActionCall call;
  call.request_id = request.request_id();
  call.job_id = request.job_id();
  call.caller = request.caller();
  call.action = request.action().action();
  call.timeout = ToDuration(request.action().timeout());
  const api::ActionInfo* info = api::InfoOf(call.action);
  if (call.timeout <= absl::ZeroDuration() && info != nullptr) {
    call.timeout = info->mutates ? info->run_timeout : info->answer_timeout;
  }
  const std::string id = call.request_id;
  call.progress = lifetime_.Guard([this, id](orch::v1::ActionProgress progress) {
    if (const Running* running = under_way_.Find(id)) {
      replies_.SendProgress(running->exchange.get(), std::move(progress));
    }
  });
  call.waits = lifetime_.Guard([this, id](bool waits) {
    if (Running* running = under_way_.Find(id)) running->waits = waits;
  });
  call.done = lifetime_.Guard([this, id](Outcome outcome) { OnDone(id, std::move(outcome)); });
  return call;
}

void Agent::OnConnection(bool connected) {
  ORCH_CHECK_ON(parts_.strand);
  if (connected) {
    beacons_.OnConnected(parts_.clock->Read());
    presence_.OnConnected();
    replies_.Resend();
  } else {
    beacons_.OnDisconnected();
    presence_.OnDisconnected();
  }
  parts_.on_change();
}

void Agent::OnTick() {
  ORCH_CHECK_ON(parts_.strand);
  const base::Now now = parts_.clock->Read();
  presence_.OnTick();
  const bus::ClientStatus bus = parts_.client->status();
  if (bus.connected) replies_.Resend();
  // Why it is not connected may have changed.
  if (std::exchange(bus_failures_, bus.failures) != bus.failures) parts_.on_change();
  if (const auto why = beacons_.NextDeafness(now, parts_.other_brokers)) {
    base::LogWarning(*why, {{"broker", bus.broker}});
    presence_.OnDeaf(beacons_.deaf_time());
    parts_.client->Reconnect(*why);
    parts_.on_change();
  }
  if (now.steady < next_purge_) return;
  next_purge_ = now.steady + kPurgeInterval;
  parts_.journal->PostPurge(lifetime_.Guard([this](const absl::Status& status) {
    if (!status.ok()) LogJournal("purge the journal", status);
  }));
}

void Agent::OnNodeChange() {
  presence_.OnChange();
  parts_.on_change();
}

void Agent::Leave() {
  leaving_ = true;
  presence_.SendLeaving();
}

}  // namespace orch::nodeagent
