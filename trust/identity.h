// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "orch/bus/v1/envelope.pb.h"
#include "trust/config.pb.h"

// Certificates, roles, and the signing and verifying of envelopes (docs/security.md). Errors say
// which certificate and why. Everything here is thread-safe: reloads swap immutable snapshots.

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

namespace orch::trust {

enum class Role { kNode, kController, kUser };
absl::string_view RoleName(Role role);  // `node`, `orch-controller`, `orch-user`

// A peer whose certificate was verified: chain, time, CRL, role.
struct Peer {
  std::string common_name;
  Role role = Role::kNode;
  std::string key_id;  // SHA-256 of the certificate's DER, 32 bytes
  std::string serial;  // upper-case hex
  absl::Time not_after;
};

// What an envelope is signed for: one can't pass for another.
enum class Domain { kRequest, kReply, kPresence };

// Why an envelope was refused; each is a counter and a log line of the ladder.
enum class Refusal {
  kTooLarge,    // over kEnvelopeMax
  kEnvelope,    // does not parse, or an unknown protocol
  kUnknownKey,  // no chain in it and the key_id is not known
  kChain,       // does not lead to a trusted CA, or out of its time
  kRevoked,     // on the CRL, or there is no valid CRL
  kRole,        // not the role that may sign this
  kSignature,   // does not verify
};
absl::string_view RefusalName(Refusal refusal);  // `signature`, …

inline constexpr size_t kEnvelopeMax = 256 << 10;

// My certificate, my key, the CAs and CRLs, and roles; loaded from files, reloaded when they
// change.
class Credentials {
 public:
  // Refuses (with the file named) what is missing, empty, unreadable, expired, does not fit
  // together, or a key that others may read.
  static absl::StatusOr<std::shared_ptr<Credentials>> Load(const TrustConfig& config,
                                                           absl::Time now);
  virtual ~Credentials() = default;

  // Looks at the files again and takes them over if all are good; an error keeps the old ones.
  // True: changed.
  virtual absl::StatusOr<bool> Reload(absl::Time now) = 0;
  virtual const Peer& self() const = 0;

  // Signs `payload`; with `with_chain` the envelope carries the certificate.
  virtual absl::StatusOr<orch::bus::v1::Envelope> Sign(Domain domain, std::string payload,
                                                       bool with_chain) const = 0;

  // Parses and verifies a serialised envelope: size → envelope → chain and CRL → signature. Chains
  // that were verified once are cached by key_id (bounded; emptied by a new CRL). On success
  // `*payload` are exactly the signed bytes and the role is left to the caller. On failure
  // `*refusal` says at which step, and the status says why.
  virtual absl::StatusOr<Peer> Open(Domain domain, absl::string_view envelope, absl::Time now,
                                    std::string* payload, Refusal* refusal) const = 0;

  // Verifies a peer's chain (PEM, leaf first) as the TLS handshakes need it.
  virtual absl::StatusOr<Peer> VerifyPeerPem(absl::string_view pem_chain, absl::Time now) const = 0;

  // Teaches a certificate chain (DER, leaf first), for example from the store; verified when it is
  // used.
  virtual void LearnChain(const std::vector<std::string>& der_chain) const = 0;

  // Takes over a CRL (DER) if a trusted CA signed it and its number is higher. True: changed.
  virtual absl::StatusOr<bool> UpdateCrl(absl::string_view der, absl::Time now) = 0;
  // The CRLs in force, DER, and their numbers by hex SHA-256 of the issuer's name.
  virtual std::vector<std::string> CrlsDer() const = 0;
  virtual std::vector<std::pair<std::string, std::string>> CrlNumbers() const = 0;

  // A TLS context that presents my certificate, demands and verifies the peer's (chain, CRL and one
  // of `roles`) in the handshake, TLS ≥ 1.2, no renegotiation, no tickets. The caller owns it
  // (SSL_CTX_free). New after each reload.
  virtual absl::StatusOr<SSL_CTX*> NewServerContext(const std::vector<Role>& roles) const = 0;
  // The same for a client; `peer_name` is checked against the SAN, or the CN where there is no SAN;
  // empty skips the name. `roles` empty: any certificate of the CA (a broker's).
  virtual absl::StatusOr<SSL_CTX*> NewClientContext(const std::string& peer_name) const = 0;

  // PEM of what gRPC needs.
  virtual std::string certificate_chain_pem() const = 0;
  virtual std::string private_key_pem() const = 0;
  virtual std::string ca_pem() const = 0;

  // Earliest end of my certificate and the CRLs, for warnings 60 days ahead.
  virtual absl::Time certificate_end() const = 0;
  virtual absl::Time crl_end() const = 0;  // InfiniteFuture without CRLs
};

// Who is at the other end of a connection made from one of the contexts above, once its handshake
// is over. After a handshake that failed: why the peer's certificate was refused. Unauthenticated:
// it showed none.
absl::StatusOr<Peer> PeerOf(const SSL* ssl);
// The chain that the peer has shown, PEM, leaf first; empty if it showed none.
std::string PeerChainPem(const SSL* ssl);

// SHA-256, 32 bytes. Here because only this folder touches EVP_*.
std::string Sha256(absl::string_view bytes);

}  // namespace orch::trust
