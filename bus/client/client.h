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

class Stream;         // bus/stream/stream.h: TCP, TLS or memory
class StreamFactory;  // bus/stream/stream.h: makes one to a broker

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

// Keeps one STOMP session alive. It connects, subscribes, sends and heart-beats; when a connection
// is lost it takes the next broker, backs off when all of them have failed, and subscribes again.
// Session decides what the protocol asks for, Backoff when and where to connect.
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
    std::string client_id;                            // names this client in the broker's log
    size_t send_queue_bytes =
        16 << 20;  // bytes that may wait to be written; beyond them sends fail
    // Messages are read no faster than this, so that a broker or publisher that floods costs a
    // share of a core and not all of it. A large message counts for several. 0: there is no limit.
    uint32_t messages_per_second = 0;
    // Whether the first attempt waits as well, for a random time up to reconnect_spread.
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

  // Subscribes `destination`, before Start or at any time later, now and after each reconnect, with
  // automatic acknowledgement.
  void Subscribe(std::string destination, std::function<void(Delivery)> on_message);
  // Sets a function that is called after each failed attempt to connect; status() says why it
  // failed. To be called before Start.
  void WatchFailures(std::function<void()> call);
  // Begins to connect; to be called once. `on_change` is called with true when the broker has
  // confirmed every subscription, and with false when such a connection was lost.
  void Start(std::function<void(bool connected)> on_change);
  // Sends DISCONNECT, waits at most 2 s for its receipt and closes. Sends that were not confirmed
  // by then get Unavailable. `done` is called once and is the last call; on_change is not called
  // any more.
  void Stop(std::function<void()> done);

  // Sends a message and forgets it: it is lost if there is no connection. The broker may drop it
  // when nobody took it by `expires`; InfiniteFuture: never.
  void Send(std::string destination, std::string body, absl::Time expires);
  // Sends a message and says through `sent` whether the broker confirmed it.
  void SendWithReceipt(std::string destination, std::string body, absl::Time expires, Sent sent);
  // Ends the connection and takes the next broker. For a node that hears no beacon although it is
  // connected: it is deaf.
  void Reconnect(std::string why);
  // Tells the client our clock minus the one that the bus goes by, once the caller knows it
  // (BrokerExpiry).
  void SetClockSkew(absl::Duration skew);

  ClientStatus status() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

// The factory for the connections that `config` asks for, TCP or TLS. InvalidArgument: what
// ValidateBusConfig says. FailedPrecondition: TLS is wanted and `credentials` is null.
absl::StatusOr<std::shared_ptr<StreamFactory>> NewClientStreams(
    const BusConfig& config, std::shared_ptr<trust::Credentials> credentials);

}  // namespace orch::bus
