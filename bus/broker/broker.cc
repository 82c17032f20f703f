// SPDX-License-Identifier: Apache-2.0
#include "bus/broker/broker.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "bus/broker/broker_hub.h"
#include "bus/broker/broker_listener.h"
#include "bus/broker/broker_memory.h"
#include "bus/routing/broker_limits.h"
#include "bus/stomp/address.h"

namespace orch::bus {
namespace {

constexpr char kDefaultPrefix[] = "orch";
// Descriptors that are not for connections: files, the listener, what else the process has open.
constexpr size_t kOtherDescriptors = 100;

std::string PrefixOf(const BrokerConfig& config) {
  return config.destination_prefix().empty() ? kDefaultPrefix : config.destination_prefix();
}

}  // namespace

absl::Status ValidateBrokerConfig(const BrokerConfig& config) {
  ORCH_RETURN_IF_ERROR(ResolveLimits(config.limits()).status());
  if (!config.listen().empty()) {
    absl::StatusOr<Address> address = ParseAddress(config.listen());
    if (!address.ok()) return base::Annotate(address.status(), "listen");
    if (config.insecure_loopback() && !IsLoopback(address->host)) {
      return absl::InvalidArgumentError(
          absl::StrCat("insecure_loopback: ", config.listen(), " is not a loopback address"));
    }
  }
  for (const char c : PrefixOf(config)) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-' || c == '.';
    if (!fine) {
      return absl::InvalidArgumentError(
          absl::StrCat("destination_prefix: `", config.destination_prefix(),
                       "` has other characters than A-Z, a-z, 0-9, '_', '-' and '.'"));
    }
  }
  return absl::OkStatus();
}

class Broker::Core {
 public:
  Core(base::Strand strand, BrokerConfig config, std::shared_ptr<trust::Credentials> credentials)
      : config_(std::move(config)), credentials_(std::move(credentials)) {
    bounds_ = ResolveLimits(config_.limits());
    ORCH_CHECK(bounds_.ok());
    if (!config_.listen().empty()) {
      const size_t files = RaiseFileLimit();
      const size_t room = files > 2 * kOtherDescriptors ? files - kOtherDescriptors : files / 2;
      bounds_->connections = std::min(bounds_->connections, room);
    }
    hub_ = BrokerHub::Make(strand, *bounds_, PrefixOf(config_));
    if (hub_.ok()) (*hub_)->Start();
  }

  ~Core() {
    listener_.reset();
    if (hub_.ok()) (*hub_)->Stop([] {});
  }

  absl::Status Listen() {
    ORCH_RETURN_IF_ERROR(hub_.status());
    if (config_.listen().empty()) return absl::FailedPreconditionError("listen: no address given");
    if (credentials_ == nullptr && !config_.insecure_loopback()) {
      return absl::FailedPreconditionError(
          absl::StrCat("listen on ", config_.listen(),
                       ": there is no certificate, and insecure_loopback is not set"));
    }
    ORCH_ASSIGN_OR_RETURN(
        listener_, BrokerListener::Make(hub_->get(), config_.listen(),
                                        config_.insecure_loopback() ? nullptr : credentials_));
    if (config_.insecure_loopback()) {
      base::LogWarning("insecure_loopback: any process of this machine may use the broker",
                       {{"address", listener_->address()}});
    }
    return absl::OkStatus();
  }

  std::string address() const { return listener_ == nullptr ? "" : listener_->address(); }

  std::shared_ptr<StreamFactory> MemoryStreams(const trust::Peer& as) {
    ORCH_CHECK(hub_.ok());
    BrokerPeer peer = PeerFrom(as);
    if (config_.insecure_loopback()) peer.kind = BrokerPeer::Kind::kAnyone;
    return NewBrokerStreams(*hub_, (*hub_)->strand(), std::move(peer));
  }

  void Stop(std::function<void()> done) {
    listener_.reset();
    if (hub_.ok()) {
      (*hub_)->Stop(std::move(done));
    } else {
      done();
    }
  }

  void JudgeAgain() {
    if (hub_.ok()) (*hub_)->JudgeAgain();
  }

  BrokerStatus status() const {
    BrokerStatus out;
    if (!hub_.ok()) return out;
    const BrokerCounters counters = (*hub_)->core().counters();
    out.connections = (*hub_)->core().sessions();
    out.connections_total = counters.sessions_total;
    out.refused = counters.refused;
    out.slow_consumers_dropped = counters.slow_consumers_dropped;
    out.frames_in = counters.frames_in;
    out.frames_out = counters.frames_out;
    out.bytes_in = counters.bytes_in;
    out.bytes_out = counters.bytes_out;
    out.expired = counters.expired;
    out.bytes_held = counters.bytes_held;
    out.discarded = counters.discarded;
    out.handshakes_refused = (*hub_)->handshakes_refused();
    if (listener_ != nullptr) out.handshakes_pending = listener_->handshakes_pending();
    out.connections_max = bounds_->connections;
    out.bytes_held_max = bounds_->total_bytes;
    for (size_t i = 0; i < counters.refused_by.size(); ++i) {
      out.refused_by.push_back(
          {BrokerRefusalName(static_cast<BrokerRefusal>(i)), counters.refused_by[i]});
    }
    const auto peers = (*hub_)->core().PeerCensus();
    for (size_t i = 0; i < peers.size(); ++i) {
      out.connections_by.push_back({PeerKindName(static_cast<BrokerPeer::Kind>(i)), peers[i]});
    }
    const auto census = (*hub_)->core().Census();
    for (size_t i = 0; i < census.size(); ++i) {
      out.destinations_by.push_back({BusKindName(static_cast<BusKind>(i)), census[i].destinations,
                                     census[i].subscriptions, census[i].messages, census[i].bytes});
    }
    return out;
  }

 private:
  const BrokerConfig config_;
  const std::shared_ptr<trust::Credentials> credentials_;
  absl::StatusOr<BrokerBounds> bounds_;
  absl::StatusOr<std::shared_ptr<BrokerHub>> hub_;
  std::unique_ptr<BrokerListener> listener_;
};

Broker::Broker(base::Strand strand, BrokerConfig config,
               std::shared_ptr<trust::Credentials> credentials)
    : core_(std::make_shared<Core>(std::move(strand), std::move(config), std::move(credentials))) {}

Broker::~Broker() = default;

absl::Status Broker::Listen() { return core_->Listen(); }

std::string Broker::address() const { return core_->address(); }

std::shared_ptr<StreamFactory> Broker::MemoryStreams(trust::Peer as) {
  return core_->MemoryStreams(as);
}

void Broker::JudgeAgain() { core_->JudgeAgain(); }

void Broker::Stop(std::function<void()> done) { core_->Stop(std::move(done)); }

BrokerStatus Broker::status() const { return core_->status(); }

}  // namespace orch::bus
