// SPDX-License-Identifier: Apache-2.0
#include "controller/dispatcher/beacon.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/proto_time.h"
#include "base/sha256.h"

namespace orch::controller {
void CrlAsks::OnBehind(const std::string& node, const std::string& collective, base::Now now) {
  const auto answered = answered_.find(node);
  if (answered != answered_.end() && now.steady - answered->second < kCrlPause) return;
  waiting_.emplace(node, collective);
}

std::map<std::string, std::vector<std::string>> CrlAsks::Take(base::Now now) {
  absl::erase_if(answered_,
                 [now](const auto& each) { return now.steady - each.second >= kCrlPause; });
  std::map<std::string, std::vector<std::string>> out;
  for (auto& [node, collective] : waiting_) {
    answered_[node] = now.steady;
    out[collective].push_back(node);
  }
  waiting_.clear();
  return out;
}

std::vector<orch::bus::v1::CrlUpdate> CrlParts(const std::string& der) {
  std::vector<orch::bus::v1::CrlUpdate> parts;
  const std::string digest = base::Sha256(der);
  const size_t count = (der.size() + kCrlPartBytes - 1) / kCrlPartBytes;
  for (size_t i = 0; i < count; ++i) {
    orch::bus::v1::CrlUpdate part;
    part.set_digest(digest);
    part.set_part(static_cast<uint32_t>(i));
    part.set_parts(static_cast<uint32_t>(count));
    part.set_data(der.substr(i * kCrlPartBytes, kCrlPartBytes));
    parts.push_back(std::move(part));
  }
  return parts;
}

Beacon::Beacon(DispatcherContext* context)
    : context_(context),
      timer_(context->strand, context->clock),
      start_time_(context->clock->Read().wall) {}

void Beacon::Start() { Tick(); }

void Beacon::Stop() {
  stopped_ = true;
  timer_.cancel();
}

void Beacon::Tick() {
  timer_.expires_after(context_->options.beacon_interval);
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    auto self = weak.lock();
    if (error || self == nullptr || self->stopped_) return;
    self->Tick();
    if (!self->context_->connected) return;
    const base::Now now = self->context_->clock->Read();
    const bool changed = self->context_->credentials->CrlNumbers() != self->crl_numbers_;
    if (changed || now.steady - self->crls_sent_ >= kCrlInterval) self->SendCrls();
    self->AnswerBehind(now);
    self->SendBeacons();
  });
}

void Beacon::OnConnected() {
  if (stopped_) return;
  SendBeacons();
  // A connection that flaps must not send them each time.
  const absl::Duration since = context_->clock->Read().steady - crls_sent_;
  if (since >= kCrlPause || context_->credentials->CrlNumbers() != crl_numbers_) SendCrls();
}

void Beacon::OnCrlChanged() {
  if (!stopped_ && context_->connected) SendCrls();
}

void Beacon::OnBehind(const std::string& node,
                      const google::protobuf::RepeatedPtrField<std::string>& collectives,
                      base::Now now) {
  for (const std::string& collective : context_->options.collectives) {
    if (std::find(collectives.begin(), collectives.end(), collective) == collectives.end())
      continue;
    return asks_.OnBehind(node, collective, now);
  }
}

void Beacon::AnswerBehind(base::Now now) {
  const auto behind = asks_.Take(now);
  size_t count = 0;
  for (const auto& [collective, nodes] : behind) count += nodes.size();
  if (count > kBehindMax) {
    // They, and whoever has not said so yet.
    if (now.steady - crls_sent_ >= kCrlPause) SendCrls();
    return;
  }
  for (const auto& [collective, nodes] : behind) {
    for (const std::string& der : context_->credentials->CrlsDer()) {
      for (const orch::bus::v1::CrlUpdate& part : CrlParts(der)) {
        orch::bus::v1::Request request = NewRequest(*context_, collective);
        for (const std::string& node : nodes) request.add_nodes(node);
        *request.mutable_crl() = part;
        SignAndSend(std::move(request));
      }
    }
  }
}

void Beacon::SendBeacons() {
  ++sequence_;
  for (const std::string& collective : context_->options.collectives) {
    orch::bus::v1::Request request = NewRequest(*context_, collective);
    orch::bus::v1::Beacon* beacon = request.mutable_beacon();
    beacon->set_sequence(sequence_);
    *beacon->mutable_start_time() = ToTimestamp(start_time_);
    for (const auto& [issuer, number] : context_->credentials->CrlNumbers()) {
      (*beacon->mutable_crl_numbers())[issuer] = number;
    }
    SignAndSend(std::move(request));
  }
}

void Beacon::SendCrls() {
  crl_numbers_ = context_->credentials->CrlNumbers();
  crls_sent_ = context_->clock->Read().steady;
  for (const std::string& der : context_->credentials->CrlsDer()) {
    for (const orch::bus::v1::CrlUpdate& part : CrlParts(der)) {
      for (const std::string& collective : context_->options.collectives) {
        orch::bus::v1::Request request = NewRequest(*context_, collective);
        *request.mutable_crl() = part;
        SignAndSend(std::move(request));
      }
    }
  }
}

void Beacon::SignAndSend(orch::bus::v1::Request request) {
  const bus::Destinations& to = context_->options.destinations;
  std::vector<std::string> destinations;
  for (const std::string& node : request.nodes()) {
    destinations.push_back(to.Node(request.collective(), node));
  }
  if (destinations.empty()) destinations.push_back(to.Request(request.collective()));
  context_->outbox->Sign(std::move(request), [weak = weak_from_this(),
                                              destinations](absl::StatusOr<SignedRequest> ready) {
    auto self = weak.lock();
    if (self == nullptr || self->stopped_) return;
    if (!ready.ok()) {
      base::LogError("sign a beacon", {{"error", ready.status().ToString()}});
      return;
    }
    for (const std::string& destination : destinations) {
      self->context_->outbox->Send(destination, *ready, nullptr);
    }
  });
}

}  // namespace orch::controller
