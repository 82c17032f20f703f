// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "controller/edge/http2_share.h"

namespace orch::controller {

// One party: all connections with one certificate, or all without TLS.
struct EdgeParty {
  std::mutex mutex;  // guards share
  Http2Share share;
  size_t connections = 0;           // guarded by the mutex of EdgeCallers
  std::atomic<uint32_t> calls = 0;  // of the services: unary ones that are not answered
};

// Whose connection it is, as its TLS handshake has shown.
struct EdgeCaller {
  std::string certificate_pem;  // the chain, leaf first; empty without TLS
  std::string peer;             // `127.0.0.1:4711`, `[::1]:4711`
  std::shared_ptr<EdgeParty> party;
};

// Who is behind the connections that the edge has handed to gRPC, by the name of the edge's end of
// each: gRPC shows it to handlers as `ServerContext::peer()`. A name is `orch/` with 128 random
// bits; it is never used again, unlike a descriptor's number, which a new connection takes while
// calls of an old one are still alive.
//
// Thread-safe.
class EdgeCallers {
 public:
  // Connections of one certificate.
  static constexpr size_t kConnectionsOfPartyMax = 256;
  // Parties that are remembered after their last connection, so that reconnecting does not buy a
  // new budget.
  static constexpr size_t kPartiesMax = 4096;

  // Joins the party of `key` (a certificate's fingerprint). Null: it has `most` connections. Leave
  // once for each that was joined.
  std::shared_ptr<EdgeParty> Join(const std::string& key, size_t most);
  void Leave(const std::shared_ptr<EdgeParty>& party);

  // A new name.
  static std::string NewName();
  void Add(const std::string& name, EdgeCaller caller);
  void Remove(const std::string& name);
  // By what `ServerContext::peer()` says. Nullopt: no such connection, or not any more.
  std::optional<EdgeCaller> Find(absl::string_view grpc_peer) const;

 private:
  mutable std::mutex mutex_;
  absl::flat_hash_map<std::string, EdgeCaller> callers_;
  absl::flat_hash_map<std::string, std::shared_ptr<EdgeParty>> parties_;
};

}  // namespace orch::controller
