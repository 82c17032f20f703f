// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/strand.h"
#include "bus/client/session.h"
#include "bus/stomp/bus_config.h"
#include "bus/stomp/config.pb.h"
#include "trust/identity.h"

namespace orch::bus {

class Stream;         // bus/stream.h: TCP, TLS or memory
class StreamFactory;  // bus/stream.h: makes one to a broker

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

// Keeps one STOMP session alive: connects, subscribes, sends, heart-beats, goes on with the next
// broker, backs off when all have failed, and restores the subscriptions. What the protocol asks
// for is decided in bus/session, when and where to connect in bus/backoff.
//
// Every step of opening has a limit of its own: looking up, connecting and the TLS handshake
// kOpenMax together, CONNECTED Session::kConnectMax, each confirmation of a subscription
// Session::kReceiptMax. Certificates and passcode are read at each connect.
//
// Lives on: the strand it is given; every method is called there (Subscribe before Start anywhere),
// every callback comes there. Callbacks may call any method, and may destroy the Client; after its
// destruction nothing is called any more.
class Client {
 public:
  struct Options {
    BusConfig config;                                 // as ValidateBusConfig wants it
    std::shared_ptr<trust::Credentials> credentials;  // null: without TLS
    std::string client_id;                            // for the broker's log
    size_t send_queue_bytes = 16 << 20;               // more waiting than this: Send fails
    // Reads no faster than this, so that a broker or publisher that floods costs a share of a core
    // and not all of it; 0: as fast as they come. Large messages count for several.
    uint32_t messages_per_second = 0;
    // The first attempt waits too, for anything up to reconnect_spread.
    bool spread_start = false;
  };
  static constexpr absl::Duration kOpenMax = absl::Seconds(10);

  // Called with OK when the broker's RECEIPT came (the message is on the bus), or with an error:
  // Unavailable when the connection ended first (it may or may not be on the bus),
  // ResourceExhausted when the send queue is full. Never from within SendWithReceipt.
  using Sent = std::function<void(absl::Status)>;

  // `factory` makes connections; tests and the controller with a broker in its process give one
  // over memory. Without `config.brokers` it is asked for the address `memory`.
  Client(base::Strand strand, Options options, std::shared_ptr<StreamFactory> factory);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Before Start, or at any time later; restored after each reconnect. `ack` mode is auto.
  void Subscribe(std::string destination, std::function<void(Delivery)> on_message);
  // Before Start: `call` comes after each attempt that failed; status() says why.
  void WatchFailures(std::function<void()> call);
  // Once. `on_change` is called on each connect (true: the broker confirmed every subscription) and
  // each loss of such a connection (false).
  void Start(std::function<void(bool connected)> on_change);
  // DISCONNECT with a receipt, at most 2 s, then closes; sends that were not confirmed by then get
  // Unavailable. `done` comes once, and on_change no more. Nothing is called afterwards.
  void Stop(std::function<void()> done);

  // Fire and forget: lost if there is no connection. `expires` lets brokers drop it when nobody
  // took it by then; InfiniteFuture: never.
  void Send(std::string destination, std::string body, absl::Time expires);
  // With a RECEIPT.
  void SendWithReceipt(std::string destination, std::string body, absl::Time expires, Sent sent);
  // Ends the connection and takes the next broker, for a node that notices that it is deaf.
  void Reconnect(std::string why);
  // Our clock minus the one that the bus goes by, once somebody can tell (BrokerExpiry).
  void SetClockSkew(absl::Duration skew);

  ClientStatus status() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

// The connections that `config` asks for, over TCP or TLS. InvalidArgument: ValidateBusConfig;
// FailedPrecondition: TLS without credentials.
absl::StatusOr<std::shared_ptr<StreamFactory>> NewClientStreams(
    const BusConfig& config, std::shared_ptr<trust::Credentials> credentials);

}  // namespace orch::bus
