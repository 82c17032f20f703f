// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/strand.h"
#include "bus/stomp/config.pb.h"
#include "bus/stream/stream.h"
#include "trust/identity.h"

namespace orch::bus {

// Figures for health and metrics.
struct BrokerStatus {
  uint64_t connections = 0, connections_total = 0, refused = 0, slow_consumers_dropped = 0;
  uint64_t frames_in = 0, frames_out = 0, bytes_in = 0, bytes_out = 0, expired = 0, bytes_held = 0;
  uint64_t discarded = 0, handshakes_refused = 0, handshakes_pending = 0;
  uint64_t connections_max = 0, bytes_held_max = 0;  // the limits
  // `refused` by reason; what there is now, by who and by what for: `node`, `reply`. The names are
  // constants.
  struct Named {
    absl::string_view name;
    uint64_t count = 0;
  };
  struct Destinations {
    absl::string_view kind;
    uint64_t destinations = 0, subscriptions = 0, messages = 0, bytes = 0;
  };
  std::vector<Named> refused_by, connections_by;
  std::vector<Destinations> destinations_by;
};

// InvalidArgument, beginning with the field, for a configuration that can't work: limits that
// contradict each other, an address that is none, insecure_loopback beyond loopback.
absl::Status ValidateBrokerConfig(const BrokerConfig& config);

// The embedded broker: accepts STOMP sessions over TCP, TLS or memory and moves what
// bus/broker_core decides. Rights come from the verified certificate's role (SECURITY: a node reads
// requests and its own destination, writes replies and presence; a controller writes requests,
// reads its replies and presence; nothing else).
//
// Lives on: the strand it is given (all methods).
class Broker {
 public:
  // `credentials` null only with insecure_loopback or without `listen`. The configuration is one
  // that ValidateBrokerConfig accepts.
  Broker(base::Strand strand, BrokerConfig config, std::shared_ptr<trust::Credentials> credentials);
  ~Broker();
  // Binds and listens, with as many descriptors as the process may have; with TLS SIGPIPE is
  // ignored from then on. FailedPrecondition: not loopback though insecure, or neither insecure nor
  // credentials; Unavailable: the address is in use (named).
  absl::Status Listen();
  // The bound address, `127.0.0.1:61613`; the port is real also where the configuration says 0.
  std::string address() const;
  // For a client in this process: a factory whose streams end in this broker, as the given peer
  // (the controller itself). It may be used from any strand, and outlive the broker.
  std::shared_ptr<StreamFactory> MemoryStreams(trust::Peer as);
  // After the credentials have changed: ends connections whose certificate is revoked, has ended or
  // lost its role, each with an ERROR that says so. Soon, not before it returns.
  void JudgeAgain();
  // Writes what is ready, at most 2 s, and closes everything; `done` comes once.
  void Stop(std::function<void()> done);
  // Walks connections and destinations: a millisecond with ten thousand of them.
  BrokerStatus status() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace orch::bus
