// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "trust/identity.h"
#include "trust/snapshot.h"

namespace orch::trust {

// Which peers a TLS context lets in.
struct TlsPolicy {
  // The verifier in force: a handshake is judged by today's revocation lists, whenever its context
  // was made.
  std::function<std::shared_ptr<const Verifier>()> verifier;
  bool server = false;
  std::vector<Role> roles;  // server: one of these; empty: any
  std::string peer_name;    // client: the server's name; empty: any
};

// A context that shows the snapshot's certificate and judges peers by `policy`. The caller owns it
// (SSL_CTX_free).
absl::StatusOr<SSL_CTX*> NewTlsContext(const Snapshot& snapshot, TlsPolicy policy);

// Judges the peer of an established connection again, by the CAs, revocation lists and roles in
// force now. Unauthenticated, with the reason: its certificate would not be let in any more, or
// would be let in as somebody else. While a revocation list has ended this returns OK: nobody can
// be judged then, and a connected fleet should not be lost over it (new handshakes fail). Only for
// connections made with NewServerContext.
absl::Status JudgeAgain(const SSL* ssl, absl::Time now);

}  // namespace orch::trust
