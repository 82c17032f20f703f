// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bus/client/bus.h"
#include "test/sim/process.h"
#include "test/sim/world.h"

namespace orch::sim {

class Link;

// How unreliable the bus is, as shares of the messages that it brings to somebody.
struct BusFaults {
  double dropped = 0;
  double repeated = 0;
  double late = 0;  // by up to kLateMost
};
// The longest that the bus keeps a message back, or a copy of it.
inline constexpr absl::Duration kLateMost = absl::Minutes(4);

// The broker and the cables: brings what is published to those who subscribed, some of it never,
// twice, late or out of order. A RECEIPT says no more than that the broker had it.
class Network {
 public:
  explicit Network(World* world) : world_(world) {}
  void set_faults(BusFaults faults) { faults_ = faults; }
  // From now on nobody is connected, for so long.
  void GoAway(absl::Duration time);
  // Sees everything that is published.
  void set_tap(std::function<void(const std::string& destination, const std::string& body)> tap) {
    tap_ = std::move(tap);
  }
  // What is published at `from` comes to `to` as well: brokers are not trusted.
  void set_misdirection(std::string from, std::string to) {
    misdirected_ = {std::move(from), std::move(to)};
  }
  // Published by whoever is no process.
  void Publish(const std::string& destination, const std::string& body);

 private:
  friend class Link;
  void Join(Link* link);
  void Leave(Link* link);
  void Carry(const std::string& link, const std::string& destination, const std::string& body);
  bool away() const { return world_->now() < away_until_; }

  World* const world_;
  BusFaults faults_;
  absl::Duration away_until_ = -absl::InfiniteDuration();
  std::map<std::string, Link*> links_;
  std::pair<std::string, std::string> misdirected_;
  std::function<void(const std::string&, const std::string&)> tap_;
};

// A process' connection to the network, made anew when it is lost.
//
// Lives on: the process' strand, and dies with the process.
class Link : public bus::Bus {
 public:
  Link(World* world, Network* network, Process* process);
  ~Link() override;

  void Subscribe(std::string destination, std::function<void(bus::Delivery)> on_message) override;
  void WatchFailures(std::function<void()> call) override {}
  void Start(std::function<void(bool connected)> on_change) override;
  void Send(std::string destination, std::string body, absl::Time expires) override;
  void SendWithReceipt(std::string destination, std::string body, absl::Time expires,
                       Sent sent) override;
  void Reconnect(std::string why) override { Lose(why); }
  void SetClockSkew(absl::Duration skew) override {}
  bus::ClientStatus status() const override;

  // The connection breaks; what was under way on it is lost.
  void Lose(const std::string& why);
  const std::string& name() const { return process_->name(); }

 private:
  friend class Network;
  void Connect(absl::Duration wait);
  void Deliver(const std::string& destination, const std::string& body);
  void Confirm(uint64_t receipt, absl::Status status);

  World* const world_;
  Network* const network_;
  Process* const process_;
  std::vector<std::pair<std::string, std::function<void(bus::Delivery)>>> subscriptions_;
  std::function<void(bool)> on_change_;
  bool connected_ = false;
  uint64_t connection_ = 0;  // the number of the one that is, or will be
  uint64_t connects_ = 0;
  uint64_t last_receipt_ = 0;
  std::map<uint64_t, Sent> unconfirmed_;
};

}  // namespace orch::sim
