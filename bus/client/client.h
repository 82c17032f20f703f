// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/strand.h"
#include "bus/client/bus.h"
#include "bus/stomp/bus_config.h"
#include "bus/stomp/config.pb.h"
#include "trust/identity.h"

namespace orch::bus {

class Stream;         // bus/stream.h: TCP, TLS or memory
class StreamFactory;  // bus/stream.h: makes one to a broker

// Keeps one STOMP session alive: connects, subscribes, sends, heart-beats, goes on with the next
// broker, backs off when all have failed, and restores the subscriptions. What the protocol asks
// for is decided in bus/session, when and where to connect in bus/backoff.
//
// Every step of opening has a limit of its own: looking up, connecting and the TLS handshake
// kOpenMax together, CONNECTED Session::kConnectMax, each confirmation of a subscription
// Session::kReceiptMax. Certificates and passcode are read at each connect.
//
// Lives on: the strand it is given. Callbacks may destroy the Client.
class Client : public Bus {
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
    const base::Clock* clock = &base::SystemClock();
    base::Random* random = base::SystemRandom();  // for the back-off's jitter
  };
  static constexpr absl::Duration kOpenMax = absl::Seconds(10);

  // `factory` makes connections; tests and the controller with a broker in its process give one
  // over memory. Without `config.brokers` it is asked for the address `memory`.
  Client(base::Strand strand, Options options, std::shared_ptr<StreamFactory> factory);
  ~Client() override;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void Subscribe(std::string destination, std::function<void(Delivery)> on_message) override;
  void WatchFailures(std::function<void()> call) override;
  void Start(std::function<void(bool connected)> on_change) override;
  // DISCONNECT with a receipt, at most 2 s, then closes; sends that were not confirmed by then get
  // Unavailable. `done` comes once, and on_change no more. Nothing is called afterwards.
  void Stop(std::function<void()> done);
  void Send(std::string destination, std::string body, absl::Time expires) override;
  void SendWithReceipt(std::string destination, std::string body, absl::Time expires,
                       Sent sent) override;
  void Reconnect(std::string why) override;
  void SetClockSkew(absl::Duration skew) override;
  ClientStatus status() const override;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

// The connections that `config` asks for, over TCP or TLS. InvalidArgument: ValidateBusConfig;
// FailedPrecondition: TLS without credentials.
absl::StatusOr<std::shared_ptr<StreamFactory>> NewClientStreams(
    const BusConfig& config, std::shared_ptr<trust::Credentials> credentials);

}  // namespace orch::bus
