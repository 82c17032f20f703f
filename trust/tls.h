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

// Judges the peer of a connection whose handshake is over again, by the CAs, revocation lists and
// roles in force now. Unauthenticated, with why: its certificate would not be let in any more, or
// as somebody else. That the list of its CA has ended is no reason: a fleet that is connected
// should not be lost over it (its handshakes fail); whoever stands on such a list is revoked all
// the same. Only for NewServerContext.
absl::Status JudgeAgain(const SSL* ssl, absl::Time now);

}  // namespace orch::trust
