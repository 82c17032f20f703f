// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trust/identity.h"

namespace grpc {
class ServerCredentials;
}

namespace orch::controller {

// The PEM chain of a peer, leaf first. What gRPC calls the full chain lacks the leaf on the
// server's side, as SSL_get_peer_cert_chain(3) does.
std::string JoinChain(absl::string_view leaf, absl::string_view chain);

// The server credentials of gRPC: TLS, a client certificate demanded in the handshake, its chain,
// CRL and role verified there by trust/, before any HTTP/2 byte is parsed. gRPC only finds that the
// chain leads to one of our CAs; everything else is decided by Credentials::VerifyPeerPem.
//
// gRPC reads a live server's certificate from files that it polls. Those are not the configured
// files, which may be half replaced or not fit together, but copies in memory (memfd_create(2)) of
// what trust::Credentials has accepted.
//
// Lives on: whoever made it; Update is called by one thread at a time.
class ServerTls {
 public:
  // `refused` counts handshakes that were refused; it outlives the server. Unavailable: no memfd.
  static absl::StatusOr<std::unique_ptr<ServerTls>> Make(
      std::shared_ptr<trust::Credentials> credentials, std::vector<trust::Role> roles,
      std::atomic<uint64_t>* refused);
  ~ServerTls();

  std::shared_ptr<grpc::ServerCredentials> credentials() const { return server_credentials_; }
  // After Credentials::Reload: what new handshakes show. Seen by gRPC within kPollSeconds.
  absl::Status Update();

  static constexpr unsigned kPollSeconds = 1;

 private:
  class MemoryFile;
  ServerTls() = default;

  std::shared_ptr<trust::Credentials> identity_;
  std::unique_ptr<MemoryFile> key_, chain_, ca_;
  std::shared_ptr<grpc::ServerCredentials> server_credentials_;
};

}  // namespace orch::controller
