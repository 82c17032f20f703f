// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
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

// What kind of message a signature is for; an envelope signed for one kind is not valid as another.
enum class Domain { kRequest, kReply, kPresence };

// Why an envelope was refused; each is a counter and a log line of the ladder.
enum class Refusal {
  kTooLarge,    // over kEnvelopeMax
  kEnvelope,    // does not parse, or an unknown protocol
  kUnknownKey,  // no chain in it and the key_id is not known
  kChain,       // does not lead to a trusted CA, or out of its time
  kRevoked,     // on the CRL, or there is no valid CRL
  kRole,        // not the role that may sign this
  kSignature,   // does not verify; the last one
};
inline constexpr size_t kRefusals = static_cast<size_t>(Refusal::kSignature) + 1;
absl::string_view RefusalName(Refusal refusal);  // `signature`, …

inline constexpr size_t kEnvelopeMax = 256 << 10;

// What this process proves itself with and whom it trusts: its certificate and key, the CAs, their
// CRLs, and how certificates get roles. Loaded from files, and reloaded when they change.
class Credentials {
 public:
  // Loads and checks all files. An error names the file, and what is wrong: it is missing, empty,
  // unreadable or expired, does not fit the others, or is a key that others may read.
  static absl::StatusOr<std::shared_ptr<Credentials>> Load(const TrustConfig& config,
                                                           absl::Time now);
  virtual ~Credentials() = default;

  // Reads the files again if one may have changed, and takes them over if all are good. True:
  // something changed. An error leaves the old state in force.
  virtual absl::StatusOr<bool> Reload(absl::Time now) = 0;
  virtual const Peer& self() const = 0;

  // Signs `payload` for `domain`. With `with_chain` the envelope carries the certificate chain,
  // which a receiver needs that has not seen it before.
  virtual absl::StatusOr<orch::bus::v1::Envelope> Sign(Domain domain, std::string payload,
                                                       bool with_chain) const = 0;

  // Parses and verifies a serialised envelope: size → envelope → chain and CRL → signature. Chains
  // that were verified once are cached by key_id (bounded; emptied by a new CRL). On success
  // `*payload` are exactly the signed bytes and the role is left to the caller. On failure
  // `*refusal` says at which step, and the status says why.
  virtual absl::StatusOr<Peer> Open(Domain domain, absl::string_view envelope, absl::Time now,
                                    std::string* payload, Refusal* refusal) const = 0;

  // Verifies a peer's chain (PEM, the leaf first) in the way that TLS handshakes are verified.
  virtual absl::StatusOr<Peer> VerifyPeerPem(absl::string_view pem_chain, absl::Time now) const = 0;

  // Remembers a certificate chain (DER, the leaf first), for example from the store, so that
  // envelopes without a chain can be opened. It is verified when it is used.
  virtual void LearnChain(const std::vector<std::string>& der_chain) const = 0;

  // Takes over a CRL (DER) if a trusted CA signed it and its number is higher; when it was signed
  // does not matter. One that has ended is taken only in the place of one that has, or nobody could
  // send a better one. True: changed.
  virtual absl::StatusOr<bool> UpdateCrl(absl::string_view der, absl::Time now) = 0;
  // The CRLs in force, DER, and their numbers by hex SHA-256 of the key that signed them (two CAs
  // may have one name).
  virtual std::vector<std::string> CrlsDer() const = 0;
  virtual std::vector<std::pair<std::string, std::string>> CrlNumbers() const = 0;
  // Whether somebody who has `numbers` (as CrlNumbers) has a newer list of a CA that is trusted
  // here than we have.
  virtual bool IsBehind(const std::map<std::string, std::string>& numbers) const = 0;

  // A TLS context that presents my certificate, demands and verifies the peer's (chain, CRL and one
  // of `roles`) in the handshake, TLS ≥ 1.2, no renegotiation, no tickets. The caller owns it
  // (SSL_CTX_free). New after each reload.
  virtual absl::StatusOr<SSL_CTX*> NewServerContext(const std::vector<Role>& roles) const = 0;
  // The same for a client. The server may show any certificate of a trusted CA that is for
  // `peer_name`: by its SAN, or its CN where it has no SAN. An empty `peer_name` accepts any name.
  virtual absl::StatusOr<SSL_CTX*> NewClientContext(const std::string& peer_name) const = 0;

  // The chain, key and CAs in PEM, as gRPC needs them.
  virtual std::string certificate_chain_pem() const = 0;
  virtual std::string private_key_pem() const = 0;
  virtual std::string ca_pem() const = 0;

  // Earliest end of my certificate and the CRLs, for warnings 60 days ahead. The list of a CA that
  // has itself ended does not count.
  virtual absl::Time certificate_end() const = 0;
  virtual absl::Time crl_end(absl::Time now) const = 0;  // InfiniteFuture without CRLs
  // Earliest end of the CRLs that my own certificate is judged by: from then on nobody takes it.
  virtual absl::Time own_crl_end() const = 0;
  // What is wrong and yet refuses only what is below the CA that it concerns (an ended CA, an ended
  // list): a sentence each, for people.
  virtual std::vector<std::string> Warnings(absl::Time now) const = 0;
};

// Who is at the other end of a connection made from one of the contexts above, once its handshake
// is over. After a handshake that failed: why the peer's certificate was refused. Unauthenticated:
// it showed none.
absl::StatusOr<Peer> PeerOf(const SSL* ssl);
// The chain that the peer has shown, PEM, leaf first; empty if it showed none.
std::string PeerChainPem(const SSL* ssl);

// SHA-256, 32 bytes; the same as base::Sha256.
std::string Sha256(absl::string_view bytes);

}  // namespace orch::trust
