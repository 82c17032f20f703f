// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/agent/replies.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/wire_text.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/proto_time.h"
#include "base/version.h"
#include "nodeagent/agent/ladder.h"
#include "nodeagent/text/clean_text.h"

namespace orch::nodeagent {
namespace {

using orch::bus::v1::Outcome;
using orch::bus::v1::Reply;

// How long a broker keeps a reply that nobody takes: a result query brings an outcome back later.
constexpr absl::Duration kOutcomeLifetime = absl::Hours(1);
// Bytes of what is said with an outcome that is made here.
constexpr size_t kRefusalMessageMax = 2048;
constexpr absl::Duration kNewsLifetime = absl::Minutes(2);

}  // namespace

bool Budget::Take(base::Now now) {
  tokens_ = std::min<double>(per_second_,
                             tokens_ + absl::ToDoubleSeconds(now.steady - last_) * per_second_);
  last_ = now.steady;
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

std::shared_ptr<Exchange> NewExchange(const orch::bus::v1::Request& request, absl::string_view node,
                                      std::string payload_digest) {
  auto exchange = std::make_shared<Exchange>();
  exchange->request_id = request.request_id();
  exchange->digest = std::move(payload_digest);
  // A refused request may hold anything; what is echoed is of its shape.
  if (base::IsUlid(request.job_id())) exchange->job_id = request.job_id();
  exchange->collective = request.collective();
  exchange->controller = request.controller();
  if (request.traceparent().size() <= kTraceparentMax) {
    exchange->traceparent = request.traceparent();
    exchange->trace = base::ChildSpan(base::ParseTraceparent(request.traceparent()),
                                      absl::StrCat(request.request_id(), node));
  }
  return exchange;
}

std::shared_ptr<Exchange> ResumedExchange(const orch::bus::v1::Request& request,
                                          absl::string_view node, std::string payload_digest,
                                          absl::Time accepted, absl::Time now) {
  auto exchange = NewExchange(request, node, std::move(payload_digest));
  // How many replies went out before is not stored; it was fewer than one a millisecond.
  exchange->sequence =
      std::max<int64_t>(absl::ToInt64Milliseconds(now - accepted), kProgressMax + 10);
  return exchange;
}

Outcome MakeOutcome(orch::v1::NodeState state, absl::string_view reason,
                    absl::string_view message) {
  Outcome outcome;
  outcome.set_state(state);
  outcome.set_reason(std::string(reason));
  outcome.set_message(CleanText(message, kRefusalMessageMax));
  return outcome;
}

void FitOutcome(Outcome* outcome) {
  if (outcome->ByteSizeLong() <= kReplyMax) return;
  const size_t size = outcome->ByteSizeLong();
  if (outcome->result().has_puppet_run()) {
    auto* run = outcome->mutable_result()->mutable_puppet_run();
    run->set_changes_omitted(run->changes_omitted() + run->changes_size());
    run->clear_changes();
    if (outcome->ByteSizeLong() <= kReplyMax) return;
  } else if (outcome->state() == orch::v1::NODE_STATE_SUCCEEDED) {
    outcome->set_state(orch::v1::NODE_STATE_FAILED);
    outcome->set_reason("too_large");
  }
  outcome->clear_result();
  outcome->set_message(
      absl::StrCat("the result has ", size, " bytes, more than the ", kReplyMax, " of a reply"));
}

Replies::Replies(const base::Clock* clock, std::string identity, bus::Destinations destinations,
                 bus::Bus* client, std::shared_ptr<trust::Credentials> credentials)
    : clock_(clock),
      identity_(std::move(identity)),
      destinations_(std::move(destinations)),
      client_(client),
      credentials_(std::move(credentials)) {}

void Replies::SendAccepted(Exchange* exchange, absl::Time accepted) {
  Reply reply = Begin(exchange);
  *reply.mutable_accepted()->mutable_accept_time() = ToTimestamp(accepted);
  SendOnce(*exchange, reply, kNewsLifetime);
}

void Replies::SendProgress(Exchange* exchange, orch::v1::ActionProgress progress) {
  if (exchange->progress >= kProgressMax || !client_->status().connected ||
      !exchange->progress_budget.Take(clock_->Read())) {
    ++exchange->omitted;
    ++exchange->untold;
    return;
  }
  ++exchange->progress;
  progress.set_omitted(std::exchange(exchange->untold, 0));
  Reply reply = Begin(exchange);
  *reply.mutable_progress() = std::move(progress);
  SendOnce(*exchange, reply, kNewsLifetime);
}

void Replies::SendDiscovered(Exchange* exchange, orch::bus::v1::Discovered discovered) {
  Reply reply = Begin(exchange);
  *reply.mutable_discovered() = std::move(discovered);
  SendOnce(*exchange, reply, kNewsLifetime);
}

void Replies::SendUnknown(const Exchange& query, const std::string& request_id,
                          bool never_started) {
  Exchange unknown = query;
  unknown.request_id = request_id;
  unknown.sequence = 0;
  Reply reply = Begin(&unknown);
  reply.mutable_unknown_request()->set_never_started(never_started);
  SendOnce(unknown, reply, kNewsLifetime);
}

void Replies::SendOutcome(Exchange* exchange, const Outcome& outcome) {
  Reply reply = Begin(exchange);
  *reply.mutable_outcome() = outcome;
  std::string body = Seal(reply);
  if (body.empty()) return;
  while (!unsent_.empty() &&
         (unsent_.size() >= kUnsentMax || unsent_bytes_ + body.size() > kUnsentBytesMax)) {
    unsent_bytes_ -= unsent_.front().body.size();
    unsent_.pop_front();
  }
  unsent_bytes_ += body.size();
  unsent_.push_back({next_number_++,
                     destinations_.Reply(exchange->collective, exchange->controller),
                     std::move(body), clock_->Read().wall + kOutcomeLifetime});
  Transmit(&unsent_.back());
}

void Replies::Resend() {
  const absl::Time now = clock_->Read().wall;
  for (auto unsent = unsent_.begin(); unsent != unsent_.end();) {
    if (unsent->expires <= now) {
      unsent_bytes_ -= unsent->body.size();
      unsent = unsent_.erase(unsent);
      continue;
    }
    // Transmit may call back at once, but only with an error: nothing is erased under us.
    if (!unsent->under_way) Transmit(&*unsent);
    ++unsent;
  }
}

Reply Replies::Begin(Exchange* exchange) const {
  Reply reply;
  reply.set_protocol(base::kProtocol);
  reply.set_request_id(exchange->request_id);
  reply.set_request_digest(exchange->digest);
  reply.set_node(identity_);
  reply.set_sequence(++exchange->sequence);
  *reply.mutable_time() = ToTimestamp(clock_->Read().wall);
  reply.set_job_id(exchange->job_id);
  reply.set_collective(exchange->collective);
  reply.set_traceparent(exchange->traceparent);
  return reply;
}

std::string Replies::Seal(const Reply& reply) const {
  const auto envelope =
      credentials_->Sign(trust::Domain::kReply, api::SerializeHealing(reply), /*with_chain=*/true);
  if (!envelope.ok()) {
    base::LogError("sign a reply", {{"error", envelope.status().ToString()}});
    return "";
  }
  std::string body = envelope->SerializeAsString();
  if (body.size() > trust::kEnvelopeMax) {
    base::LogError("reply is too large for the bus", {{"bytes", body.size()}});
    return "";
  }
  return body;
}

void Replies::SendOnce(const Exchange& exchange, const Reply& reply, absl::Duration lifetime) {
  std::string body = Seal(reply);
  if (body.empty()) return;
  client_->Send(destinations_.Reply(exchange.collective, exchange.controller), std::move(body),
                clock_->Read().wall + lifetime);
}

void Replies::Transmit(Unsent* unsent) {
  unsent->under_way = true;
  client_->SendWithReceipt(
      unsent->destination, unsent->body, unsent->expires,
      lifetime_.Guard(
          [this, number = unsent->number](const absl::Status& status) { OnSent(number, status); }));
}

void Replies::OnSent(uint64_t number, const absl::Status& status) {
  const auto unsent = std::find_if(unsent_.begin(), unsent_.end(),
                                   [number](const Unsent& u) { return u.number == number; });
  if (unsent == unsent_.end()) return;  // dropped meanwhile
  unsent->under_way = false;
  if (!status.ok()) return;  // stays for the next Resend
  unsent_bytes_ -= unsent->body.size();
  unsent_.erase(unsent);
}

}  // namespace orch::nodeagent
