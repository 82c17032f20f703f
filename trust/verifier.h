// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "trust/crl.h"
#include "trust/identity.h"
#include "trust/openssl.h"

namespace orch::trust {

// A clock of ours and one of a CA may differ by this much: what was signed a moment ago is valid.
inline constexpr absl::Duration kClockSkewMax = absl::Seconds(30);

// Whom we trust at one moment: the CAs, their revocation lists, and how a certificate gets its
// role. Every chain is judged here, for envelopes, TLS and gRPC alike.
//
// Constant after construction; thread-safe.
class Verifier {
 public:
  using Certificates = std::vector<std::shared_ptr<X509>>;

  struct Parts {
    Certificates cas;             // trusted for every role
    Certificates controller_cas;  // trusted, and what is below them is a controller
    Certificates user_cas;        // trusted, and what is below them is a user
    absl::flat_hash_set<std::string> controller_fingerprints;  // SHA-256, 32 bytes
    absl::flat_hash_set<std::string> user_fingerprints;
    bool extension = true;  // pp_auth_role counts
    bool no_crl = false;
    std::vector<Crl> crls;  // each signed by one of the CAs

    Certificates AllCas() const;
  };

  enum class Purpose {
    kPeer,    // signs envelopes, or connects to us: must be good for TLS clients
    kServer,  // we connect to it: must be good for TLS servers
    kSelf,    // my own certificate, whichever of both it is for
  };

  // What becomes of a chain whose revocation list has ended. Whoever stands on the list is revoked
  // in either case, and a CA whose certificate has ended vouches for nobody.
  enum class EndedLists {
    kRefuse,
    kTolerate,  // for connections that a list in force let in
  };

  // A judgement and when it holds: while the chain's certificates and their CAs' lists do.
  struct Verified {
    Peer peer;
    absl::Time from;
    absl::Time until;
    std::vector<std::string> intermediates;  // DER of what the chain needs and we don't have
    std::vector<std::string> ca_keys;        // KeyDigestOf each CA above it; for kSelf only
  };

  explicit Verifier(Parts parts);

  // Judges a certificate: its chain, time, revocation lists and key, then its role and common name.
  // `rest` has further certificates of the chain and may be null. Unauthenticated names the
  // certificate and the reason, with `*refusal` set to kChain, kRevoked or kRole.
  absl::StatusOr<Verified> VerifyPeer(X509* leaf, STACK_OF(X509) * rest, Purpose purpose,
                                      absl::Time now, Refusal* refusal,
                                      EndedLists ended = EndedLists::kRefuse) const;
  // The chain alone, for a server whose certificate need not have an identity of ours, and that its
  // certificate is for `name` (unless empty): by the subject alternative names, or the common name
  // where there are none.
  absl::Status VerifyServer(X509* leaf, STACK_OF(X509) * rest, const std::string& name,
                            absl::Time now, Refusal* refusal) const;

  const Parts& parts() const { return parts_; }
  // A number that no other verifier of this process has; never 0.
  uint64_t generation() const { return generation_; }
  // The earliest end of a revocation list; of CAs that have ended none counts, as nobody can sign
  // another. InfiniteFuture without any.
  absl::Time CrlEnd(absl::Time now) const;
  // The same of these CAs alone (KeyDigestOf), whether or not they have ended.
  absl::Time CrlEndOf(const std::vector<std::string>& ca_keys) const;
  // What is wrong and yet refuses only what is below the CA that it concerns: CAs that have ended,
  // lists that have, or that are dated in the future. A sentence each, naming the CA and its list.
  std::vector<std::string> Warnings(absl::Time now) const;

 private:
  struct Chain {
    absl::Time from = absl::InfinitePast();
    absl::Time until = absl::InfiniteFuture();
    bool controller_ca = false;
    bool user_ca = false;
    std::vector<std::string> intermediates;
    std::vector<std::string> ca_keys;
  };

  absl::StatusOr<Chain> VerifyChain(X509* leaf, STACK_OF(X509) * rest, Purpose purpose,
                                    absl::Time now, EndedLists ended, Refusal* refusal) const;
  absl::StatusOr<Role> RoleOf(X509* leaf, const Chain& chain, const std::string& key_id) const;

  const Parts parts_;
  const Certificates all_cas_;
  const uint64_t generation_;
  StorePtr store_;
};

}  // namespace orch::trust
