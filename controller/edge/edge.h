// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "base/asio.h"
#include "controller/edge/edge_connection.h"
#include "controller/edge/edge_listener.h"
#include "controller/edge/handshake_shares.h"
#include "trust/identity.h"

namespace orch::controller {

// The port of the gRPC services: accepts, demands a client certificate and verifies its chain, CRL
// and role in the handshake, guards HTTP/2, and hands what is left to gRPC (docs/adr/0014). gRPC
// sees no TLS and no address; who the caller is, callers() knows by what gRPC shows as the peer.
//
// Lives on: a strand of `io`; each connection on one of its own.
class Edge : public std::enable_shared_from_this<Edge> {
 public:
  // Handshakes at once, TLS and HTTP/2's preface, and those of one address.
  static constexpr size_t kHandshakesMax = 1024;
  static constexpr size_t kHandshakesOfAddressMax = 128;
  // Who began later is not ended for the sake of an address's share.
  static constexpr absl::Duration kHandshakeGrace = absl::Milliseconds(500);
  static constexpr absl::Duration kHandshakeTimeMax = absl::Seconds(10);
  // When there are many: for those who have not come through the TLS handshake.
  static constexpr absl::Duration kSilentTimeMax = absl::Seconds(3);

  // Binds; nobody is accepted yet. `credentials` null: without TLS. Unavailable: the address is in
  // use or not ours, named.
  static absl::StatusOr<std::shared_ptr<Edge>> Bind(base::asio::io_context* io,
                                                    const std::string& listen,
                                                    std::shared_ptr<trust::Credentials> credentials,
                                                    std::vector<trust::Role> roles);

  // From any thread, once: hands connections to `to_grpc`, which is called from any thread until
  // the last of them has ended.
  void PostStart(std::function<void(int fd)> to_grpc);
  // From any thread: closes the port and ends handshakes. Connections go on until gRPC ends them.
  void PostStop();
  // From any thread, after Credentials::Reload: what new handshakes show.
  absl::Status UpdateCertificates();

  const std::string& address() const { return listener_->address(); }
  const EdgeCallers& callers() const { return shared_->callers; }
  const EdgeCounts& counts() const { return shared_->counts; }

 private:
  using Id = HandshakeShares::Id;
  Edge(base::asio::io_context* io, std::shared_ptr<trust::Credentials> credentials,
       std::vector<trust::Role> roles);
  void Accept(int fd, std::string peer);
  void PostProgress(Id id, bool over);
  void End(Id id, const char* why);
  void CheckHandshakes();

  base::asio::io_context* const io_;
  const base::Strand strand_;
  const std::shared_ptr<trust::Credentials> credentials_;  // null: without TLS
  const std::vector<trust::Role> roles_;
  const std::shared_ptr<EdgeShared> shared_ = std::make_shared<EdgeShared>();
  std::shared_ptr<EdgeListener> listener_;  // constant after Bind

  // On strand_ only.
  std::shared_ptr<SSL_CTX> context_;
  HandshakeShares shares_;
  absl::flat_hash_map<Id, std::weak_ptr<EdgeConnection>> handshakes_;
  base::asio::steady_timer timer_;
  absl::Duration armed_ = absl::InfiniteDuration();
};

}  // namespace orch::controller
