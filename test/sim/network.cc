// SPDX-License-Identifier: Apache-2.0
#include "test/sim/network.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace orch::sim {
namespace {

constexpr absl::Duration kWayLeast = absl::Microseconds(300);
constexpr absl::Duration kWayMost = absl::Milliseconds(40);
constexpr absl::Duration kConnectLeast = absl::Milliseconds(20);
constexpr absl::Duration kConnectMost = absl::Seconds(3);

}  // namespace

void Network::Join(Link* link) { links_[link->name()] = link; }

void Network::Leave(Link* link) {
  const auto found = links_.find(link->name());
  if (found != links_.end() && found->second == link) links_.erase(found);
}

void Network::GoAway(absl::Duration time) {
  away_until_ = world_->now() + time;
  for (const auto& [name, link] : links_) link->Lose("the broker went away");
}

void Network::Publish(const std::string& destination, const std::string& body) {
  if (tap_) tap_(destination, body);
  if (away()) return;
  const std::string& reached =
      destination == misdirected_.first ? misdirected_.second : destination;
  for (const auto& [name, link] : links_) {
    for (const auto& [subscribed, call] : link->subscriptions_) {
      if (subscribed == reached) Carry(name, reached, body);
    }
  }
}

void Network::Carry(const std::string& link, const std::string& destination,
                    const std::string& body) {
  const auto bring = [this, link, destination, body] {
    const auto found = links_.find(link);
    if (found != links_.end()) found->second->Deliver(destination, body);
  };
  if (world_->Chance(faults_.repeated)) {
    const bool much_later = world_->Chance(0.3);
    world_->After(world_->Between(kWayLeast, much_later ? kLateMost : absl::Seconds(2)), bring);
  }
  if (world_->Chance(faults_.dropped)) return;
  const bool late = world_->Chance(faults_.late);
  world_->After(world_->Between(kWayLeast, late ? kLateMost : kWayMost), bring);
}

Link::Link(World* world, Network* network, Process* process)
    : world_(world), network_(network), process_(process) {
  network_->Join(this);
}

Link::~Link() { network_->Leave(this); }

void Link::Subscribe(std::string destination, std::function<void(bus::Delivery)> on_message) {
  subscriptions_.emplace_back(std::move(destination), std::move(on_message));
}

void Link::Start(std::function<void(bool)> on_change) {
  on_change_ = std::move(on_change);
  Connect(world_->Between(kConnectLeast, kConnectMost));
}

void Link::Connect(absl::Duration wait) {
  process_->After(wait, [this, number = ++connection_] {
    if (number != connection_ || connected_) return;
    if (network_->away()) return Connect(world_->Between(kConnectLeast, kConnectMost));
    connected_ = true;
    ++connects_;
    process_->Post([this] {
      if (connected_) on_change_(true);
    });
  });
}

void Link::Lose(const std::string& why) {
  if (!connected_) return;
  connected_ = false;
  world_->Tell(name(), absl::StrCat("loses its connection: ", why));
  for (auto& [receipt, sent] : std::exchange(unconfirmed_, {})) {
    process_->Post([sent = std::move(sent)] { sent(absl::UnavailableError("connection lost")); });
  }
  process_->Post([this] { on_change_(false); });
  Connect(world_->Between(kConnectLeast, kConnectMost));
}

void Link::Send(std::string destination, std::string body, absl::Time expires) {
  if (!connected_) return;
  process_->After(
      world_->Between(kWayLeast, kWayMost),
      [this, number = connection_, destination = std::move(destination), body = std::move(body)] {
        if (number == connection_ && connected_) network_->Publish(destination, body);
      });
}

void Link::SendWithReceipt(std::string destination, std::string body, absl::Time expires,
                           Sent sent) {
  if (!connected_) {
    process_->Post([sent = std::move(sent)] { sent(absl::UnavailableError("not connected")); });
    return;
  }
  const uint64_t receipt = ++last_receipt_;
  unconfirmed_.emplace(receipt, std::move(sent));
  process_->After(world_->Between(kWayLeast, kWayMost),
                  [this, receipt, number = connection_, destination = std::move(destination),
                   body = std::move(body)] {
                    if (number != connection_ || !connected_) return;
                    network_->Publish(destination, body);
                    process_->After(world_->Between(kWayLeast, kWayMost),
                                    [this, receipt] { Confirm(receipt, absl::OkStatus()); });
                  });
}

void Link::Confirm(uint64_t receipt, absl::Status status) {
  auto sent = unconfirmed_.extract(receipt);
  if (sent.empty()) return;
  process_->Post([call = std::move(sent.mapped()), status] { call(status); });
}

void Link::Deliver(const std::string& destination, const std::string& body) {
  if (!connected_ || process_->frozen()) return;
  for (const auto& [subscribed, call] : subscriptions_) {
    if (subscribed != destination) continue;
    process_->Post([call, destination, body] { call(bus::Delivery{destination, body}); });
  }
}

bus::ClientStatus Link::status() const {
  bus::ClientStatus status;
  status.connected = connected_;
  status.broker = "simulated";
  status.last_error = connected_ ? "" : "connecting";
  status.connects = connects_;
  return status;
}

}  // namespace orch::sim
