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
  // `refused` by reason; the connections of now by who they are (`node`); the destinations of now
  // by what they are for (`reply`). Names are constants.
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

// The embedded broker: it accepts STOMP sessions over TCP, TLS or memory, and moves messages as
// BrokerCore decides. Rights come from the role in the verified certificate
// (routing/broker_rights.h): a node reads requests and its own destination and writes replies and
// presence; a controller writes requests and reads its replies and presence; nobody may do anything
// else.
//
// Lives on: the strand it is given (all methods).
class Broker {
 public:
  // `credentials` null only with insecure_loopback or without `listen`. The configuration is one
  // that ValidateBrokerConfig accepts.
  Broker(base::Strand strand, BrokerConfig config, std::shared_ptr<trust::Credentials> credentials);
  ~Broker();
  // Binds and listens. Raises the process's limit of descriptors as far as it may be raised; with
  // TLS, SIGPIPE is ignored from then on. FailedPrecondition: the address is not loopback though
  // the broker is insecure, or it is not insecure and there are no credentials. Unavailable, with
  // the address: it is in use.
  absl::Status Listen();
  // The bound address, `127.0.0.1:61613`; the port is real also where the configuration says 0.
  std::string address() const;
  // A factory for a client in this process: its streams end in this broker, which takes their other
  // end for the peer `as`. It may be used from any strand, and may outlive the broker.
  std::shared_ptr<StreamFactory> MemoryStreams(trust::Peer as);
  // To be called after the credentials have changed. Ends, soon after it returned, the connections
  // whose certificate is revoked, has ended or has lost its role; each gets an ERROR that says so.
  void JudgeAgain();
  // Writes what is ready, for at most 2 s, and closes everything; `done` is called once.
  void Stop(std::function<void()> done);
  // Walks over all connections and destinations, which takes a millisecond with ten thousand of
  // them.
  BrokerStatus status() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace orch::bus
