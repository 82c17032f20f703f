// SPDX-License-Identifier: Apache-2.0
#include "trust/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/status.h"
#include "trust/certificate.h"

namespace orch::trust {
namespace {

// Bytes of the chain a peer may send.
constexpr long kPeerChainMax = 64 << 10;

// What TLS 1.2 may use; TLS 1.3 has nothing weak.
constexpr char kCiphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

using Judgement = absl::StatusOr<Peer>;

void FreePolicy(void*, void* policy, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<TlsPolicy*>(policy);
}
int PolicyIndex() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, FreePolicy);
  return index;
}

void FreeJudgement(void*, void* judgement, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<Judgement*>(judgement);
}
int JudgementIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, FreeJudgement);
  return index;
}

void Keep(SSL* ssl, Judgement judgement) {
  auto* next = new Judgement(std::move(judgement));
  delete static_cast<Judgement*>(SSL_get_ex_data(ssl, JudgementIndex()));
  if (SSL_set_ex_data(ssl, JudgementIndex(), next) != 1) delete next;
}

Judgement JudgeClient(const TlsPolicy& policy, X509* leaf, STACK_OF(X509) * rest, absl::Time now,
                      Refusal* refusal, Verifier::EndedLists ended) {
  const std::shared_ptr<const Verifier> verifier = policy.verifier();
  ORCH_ASSIGN_OR_RETURN(
      Verifier::Verified verified,
      verifier->VerifyPeer(leaf, rest, Verifier::Purpose::kPeer, now, refusal, ended));
  const Peer& peer = verified.peer;
  if (!policy.roles.empty() &&
      std::find(policy.roles.begin(), policy.roles.end(), peer.role) == policy.roles.end()) {
    *refusal = Refusal::kRole;
    return absl::UnauthenticatedError(absl::StrCat("certificate ", peer.common_name,
                                                   " has the role ", RoleName(peer.role),
                                                   ", which may not connect here"));
  }
  return peer;
}

int VerifyError(Refusal refusal) {
  switch (refusal) {
    case Refusal::kRevoked:
      return X509_V_ERR_CERT_REVOKED;
    case Refusal::kRole:
      return X509_V_ERR_CERT_REJECTED;
    default:
      return X509_V_ERR_CERT_UNTRUSTED;
  }
}

// Replaces OpenSSL's own verification of the peer (SSL_CTX_set_cert_verify_callback(3)).
int OnPeerCertificate(X509_STORE_CTX* context, void* argument) {
  const auto& policy = *static_cast<const TlsPolicy*>(argument);
  X509* leaf = X509_STORE_CTX_get0_cert(context);
  STACK_OF(X509)* rest = X509_STORE_CTX_get0_untrusted(context);
  SSL* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const absl::Time now = base::SystemClock().Read().wall;
  Refusal refusal = Refusal::kChain;
  absl::Status verdict;
  if (policy.server) {
    Judgement peer = JudgeClient(policy, leaf, rest, now, &refusal, Verifier::EndedLists::kRefuse);
    verdict = peer.status();
    Keep(ssl, std::move(peer));
  } else {
    const std::shared_ptr<const Verifier> verifier = policy.verifier();
    verdict = verifier->VerifyServer(leaf, rest, policy.peer_name, now, &refusal);
    if (verdict.ok()) {
      // A broker need not have an identity of ours; only PeerOf fails without one.
      Refusal ignored;
      absl::StatusOr<Verifier::Verified> peer =
          verifier->VerifyPeer(leaf, rest, Verifier::Purpose::kServer, now, &ignored);
      Keep(ssl, peer.ok() ? Judgement(std::move(peer->peer)) : Judgement(peer.status()));
    } else {
      Keep(ssl, verdict);
    }
  }
  X509_STORE_CTX_set_error(context, verdict.ok() ? X509_V_OK : VerifyError(refusal));
  return verdict.ok() ? 1 : 0;
}

bool UseIdentity(SSL_CTX* context, const Snapshot& snapshot) {
  if (SSL_CTX_use_certificate(context, snapshot.certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context, snapshot.key.get()) != 1) {
    return false;
  }
  for (const auto& each : snapshot.intermediates) {
    if (SSL_CTX_add1_chain_cert(context, each.get()) != 1) return false;
  }
  return true;
}

bool Configure(SSL_CTX* context) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
  // A resumed session would skip the verification.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_cert_list(context, kPeerChainMax);
  return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
         SSL_CTX_set_num_tickets(context, 0) == 1 &&
         SSL_CTX_set_cipher_list(context, kCiphers) == 1;
}

}  // namespace

absl::StatusOr<SSL_CTX*> NewTlsContext(const Snapshot& snapshot, TlsPolicy policy) {
  SslContextPtr context(SSL_CTX_new(policy.server ? TLS_server_method() : TLS_client_method()));
  if (context == nullptr || !Configure(context.get()) || !UseIdentity(context.get(), snapshot)) {
    return absl::InternalError(absl::StrCat("make a TLS context: ", TakeOpenSslError()));
  }
  if (policy.server) {
    // Clients with several certificates choose by these names.
    for (const auto& ca : snapshot.verifier->parts().AllCas()) {
      SSL_CTX_add_client_CA(context.get(), ca.get());
    }
  }
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  auto* owned = new TlsPolicy(std::move(policy));
  if (SSL_CTX_set_ex_data(context.get(), PolicyIndex(), owned) != 1) {
    delete owned;
    return absl::InternalError(absl::StrCat("make a TLS context: ", TakeOpenSslError()));
  }
  SSL_CTX_set_cert_verify_callback(context.get(), OnPeerCertificate, owned);
  return context.release();
}

absl::StatusOr<Peer> PeerOf(const SSL* ssl) {
  const auto* judgement = static_cast<const Judgement*>(SSL_get_ex_data(ssl, JudgementIndex()));
  if (judgement == nullptr) return absl::UnauthenticatedError("the peer showed no certificate");
  return *judgement;
}

std::string PeerChainPem(const SSL* ssl) {
  std::unique_ptr<BIO, decltype(&BIO_free_all)> memory(BIO_new(BIO_s_mem()), BIO_free_all);
  X509* leaf = SSL_get0_peer_certificate(ssl);
  if (memory == nullptr || leaf == nullptr || PEM_write_bio_X509(memory.get(), leaf) != 1)
    return "";
  // On a server's side the leaf is not in it (SSL_get_peer_cert_chain(3)).
  STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl);
  for (int i = 0; chain != nullptr && i < sk_X509_num(chain); ++i) {
    X509* each = sk_X509_value(chain, i);
    if (X509_cmp(each, leaf) == 0) continue;
    if (PEM_write_bio_X509(memory.get(), each) != 1) return "";
  }
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

absl::Status JudgeAgain(const SSL* ssl, absl::Time now) {
  ORCH_ASSIGN_OR_RETURN(const Peer before, PeerOf(ssl));
  const auto* policy =
      static_cast<const TlsPolicy*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), PolicyIndex()));
  X509* leaf = SSL_get0_peer_certificate(ssl);
  if (policy == nullptr || leaf == nullptr) {
    return absl::UnauthenticatedError("the peer showed no certificate");
  }
  Refusal refusal = Refusal::kChain;
  ORCH_ASSIGN_OR_RETURN(const Peer peer,
                        JudgeClient(*policy, leaf, SSL_get_peer_cert_chain(ssl), now, &refusal,
                                    Verifier::EndedLists::kTolerate));
  if (peer.role == before.role && peer.common_name == before.common_name) return absl::OkStatus();
  return absl::UnauthenticatedError(absl::StrCat("certificate ", before.common_name, " was a ",
                                                 RoleName(before.role), "'s and is a ",
                                                 RoleName(peer.role), "'s now"));
}

}  // namespace orch::trust
