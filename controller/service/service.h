// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/strand.h"
#include "controller/audit/audit_store.h"
#include "controller/context/dispatcher_api.h"
#include "controller/edge/edge_connection.h"
#include "controller/gate/gate.h"
#include "controller/service/call_counts.h"
#include "trust/identity.h"

namespace orch::controller {

// Constant after construction.
struct ServiceOptions {
  std::string listen;                                     // `host:port`
  bool insecure_loopback = false;                         // no TLS
  std::vector<trust::Role> roles = {trust::Role::kUser};  // that pass the handshake
  uint32_t calls_max = 1000;                              // unary calls waiting for an answer
  absl::Duration heartbeat = absl::Seconds(10);
};

// What the services are made of; everything outlives them.
struct ServiceParts {
  boost::asio::io_context* io = nullptr;
  std::shared_ptr<Gate> gate;
  DispatcherPort dispatcher;
  AuditStore* audit = nullptr;
  std::shared_ptr<trust::Credentials> credentials;  // null only with insecure_loopback
};

// The gRPC side: JobService, NodeService, PolicyService, AuditService, health and reflection,
// behind the edge, which ends TLS and guards HTTP/2. gRPC's own threads run only callbacks of one
// statement, a Post; the work is done on strands of `io` (the gate's, the dispatcher's, one for
// each stream).
//
// Lives on: whoever made it; no method blocks but Stop.
class Services {
 public:
  // Binds and serves. Unavailable: the address is in use or can't be bound, named.
  static absl::StatusOr<std::unique_ptr<Services>> Start(ServiceParts parts,
                                                         ServiceOptions options);
  // As Stop, at once.
  ~Services();

  // `127.0.0.1:7443`; the port is real also where the configuration says 0.
  const std::string& address() const;
  // What grpc.health.v1 answers. Thread-safe.
  void SetServing(bool serving);
  // After a reload of the credentials: new handshakes show the new certificate.
  absl::Status UpdateCertificates();
  // Refuses new calls, ends streams with UNAVAILABLE, waits for calls at most so long, cancels the
  // rest. Blocks: not for a thread of `io`, which must go on running.
  void Stop(absl::Duration grace);

  const CallCounts& counts() const;
  const EdgeCounts& edge_counts() const;

 private:
  class Server;
  explicit Services(std::unique_ptr<Server> server);
  std::unique_ptr<Server> server_;
};

}  // namespace orch::controller
