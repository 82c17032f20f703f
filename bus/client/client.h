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

class Stream;         // bus/stream/stream.h: TCP, TLS or memory
class StreamFactory;  // bus/stream/stream.h: makes one to a broker

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
class Client : public Bus {
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
  // Sends DISCONNECT, waits at most 2 s for its receipt and closes. Sends that were not confirmed
  // by then get Unavailable. `done` is called once and is the last call; on_change is not called
  // any more.
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

// The factory for the connections that `config` asks for, TCP or TLS. InvalidArgument: what
// ValidateBusConfig says. FailedPrecondition: TLS is wanted and `credentials` is null.
absl::StatusOr<std::shared_ptr<StreamFactory>> NewClientStreams(
    const BusConfig& config, std::shared_ptr<trust::Credentials> credentials);

}  // namespace orch::bus
