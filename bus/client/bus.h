// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "bus/client/session.h"

namespace orch::bus {

// A message that arrived; headers are not in it, because they are never trusted.
struct Delivery {
  std::string destination;  // of the subscription it came on, as we subscribed, not what it says
  std::string body;
};

// Figures for health and metrics.
struct ClientStatus {
  bool connected = false;      // and every subscription confirmed
  std::string broker;          // `host:port` in use or last tried
  std::string last_error;      // why it is not connected
  absl::Time connected_since;  // if connected
  absl::Time away_since;       // if not: since the loss, or the start
  uint64_t connects = 0;       // that came so far as to be usable
  uint64_t reconnects = 0;     // of them, after a loss
  uint64_t failovers = 0;      // of them, at another broker than the one that was lost
  uint64_t failures = 0;       // attempts that did not come so far
  std::array<uint64_t, kFaults> faults = {};  // ends of connections by what the broker did
  uint64_t frames_in = 0, frames_out = 0, bytes_in = 0, bytes_out = 0;
  uint64_t ignored = 0;         // messages that were for no subscription of ours
  uint64_t stray_receipts = 0;  // receipts that nobody asked for
  uint64_t paused = 0;          // reads that were put off (messages_per_second)
};

// The message bus as the dispatcher and the node agent see it: a bus::Client, or in test/sim a bus
// that loses, repeats and delays by the dice.
//
// Lives on: the strand of whoever made it; every method is called there (Subscribe before Start
// anywhere), every callback comes there. Callbacks may call any method; after its destruction
// nothing is called any more.
class Bus {
 public:
  // Called with OK when the broker's RECEIPT came (the message is on the bus), or with an error:
  // Unavailable when the connection ended first (it may or may not be on the bus),
  // ResourceExhausted when the send queue is full. Never from within SendWithReceipt.
  using Sent = std::function<void(absl::Status)>;

  virtual ~Bus() = default;
  // Before Start, or at any time later; restored after each reconnect. `ack` mode is auto.
  virtual void Subscribe(std::string destination, std::function<void(Delivery)> on_message) = 0;
  // Before Start: `call` comes after each attempt that failed; status() says why.
  virtual void WatchFailures(std::function<void()> call) = 0;
  // Once. `on_change` is called on each connect (true: the broker confirmed every subscription) and
  // each loss of such a connection (false).
  virtual void Start(std::function<void(bool connected)> on_change) = 0;
  // Fire and forget: lost if there is no connection. `expires` lets brokers drop it when nobody
  // took it by then; InfiniteFuture: never.
  virtual void Send(std::string destination, std::string body, absl::Time expires) = 0;
  // With a RECEIPT.
  virtual void SendWithReceipt(std::string destination, std::string body, absl::Time expires,
                               Sent sent) = 0;
  // Ends the connection and takes the next broker, for a node that notices that it is deaf.
  virtual void Reconnect(std::string why) = 0;
  // Our clock minus the one that the bus goes by, once somebody can tell (BrokerExpiry).
  virtual void SetClockSkew(absl::Duration skew) = 0;

  virtual ClientStatus status() const = 0;
};

}  // namespace orch::bus
