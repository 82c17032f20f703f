// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "base/asio.h"
#include "bus/config.pb.h"
#include "bus/stream.h"
#include "trust/identity.h"

namespace orch::bus {

// Figures for health and metrics.
struct BrokerStatus {
  uint64_t connections = 0, connections_total = 0, refused = 0, slow_consumers_dropped = 0;
  uint64_t frames_in = 0, frames_out = 0, bytes_in = 0, bytes_out = 0, expired = 0, bytes_held = 0;
};

// The embedded broker: accepts STOMP sessions over TCP, TLS or memory and moves what bus/broker_core decides.
// Rights come from the verified certificate's role (SECURITY: a node reads requests and its own destination, writes
// replies and presence; a controller writes requests, reads its replies and presence; nothing else).
//
// Lives on: the strand it is given (all methods).
class Broker {
 public:
  // `credentials` null only with insecure_loopback or without `listen`.
  Broker(base::Strand strand, BrokerConfig config, std::shared_ptr<trust::Credentials> credentials);
  ~Broker();
  // Binds and listens. FailedPrecondition: not loopback though insecure; Unavailable: the address is in use (named).
  absl::Status Listen();
  // The bound address, `127.0.0.1:61613`; the port is real also where the configuration says 0.
  std::string address() const;
  // For a client in this process: a factory whose streams end in this broker, as the given peer (the controller itself).
  std::shared_ptr<StreamFactory> MemoryStreams(trust::Peer as);
  // Closes everything; `done` comes once.
  void Stop(std::function<void()> done);
  BrokerStatus status() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace orch::bus
