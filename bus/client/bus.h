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

// A message that arrived. Its headers are left out, because they are never trusted.
struct Delivery {
  // The destination that we subscribed, whatever the message says of itself.
  std::string destination;
  std::string body;
};

// Figures for health and metrics.
struct ClientStatus {
  bool connected = false;      // the broker has confirmed every subscription
  std::string broker;          // `host:port` in use or last tried
  std::string last_error;      // why it is not connected
  absl::Time connected_since;  // if connected
  absl::Time away_since;       // if not: since the loss, or the start
  uint64_t connects = 0;       // connections that became usable
  uint64_t reconnects = 0;     // of these, those after a loss
  uint64_t failovers = 0;      // of these, those to another broker than the one that was lost
  uint64_t failures = 0;       // attempts that brought no usable connection
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
  // Subscribes `destination`, before Start or at any time later, now and after each reconnect, with
  // automatic acknowledgement.
  virtual void Subscribe(std::string destination, std::function<void(Delivery)> on_message) = 0;
  // Sets a function that is called after each failed attempt to connect; status() says why it
  // failed. To be called before Start.
  virtual void WatchFailures(std::function<void()> call) = 0;
  // Begins to connect; to be called once. `on_change` is called with true when the broker has
  // confirmed every subscription, and with false when such a connection was lost.
  virtual void Start(std::function<void(bool connected)> on_change) = 0;

  // Sends a message and forgets it: it is lost if there is no connection. The broker may drop it
  // when nobody took it by `expires`; InfiniteFuture: never.
  virtual void Send(std::string destination, std::string body, absl::Time expires) = 0;
  // Sends a message and says through `sent` whether the broker confirmed it.
  virtual void SendWithReceipt(std::string destination, std::string body, absl::Time expires,
                               Sent sent) = 0;
  // Ends the connection and takes the next broker. For a node that hears no beacon although it is
  // connected: it is deaf.
  virtual void Reconnect(std::string why) = 0;
  // Tells the client our clock minus the one that the bus goes by, once the caller knows it
  // (BrokerExpiry).
  virtual void SetClockSkew(absl::Duration skew) = 0;

  virtual ClientStatus status() const = 0;
};

}  // namespace orch::bus
