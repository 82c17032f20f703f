// SPDX-License-Identifier: Apache-2.0

// Certificates, keys and lists are one immutable Snapshot behind one pointer. An envelope is judged
// by one snapshot from the first check to the last; a TLS context asks for the verifier in force at
// each handshake, so that it need not be made anew for a new revocation list. Reload and UpdateCrl
// build the next snapshot beside it and put it in place only if all of it is good. Chains that were
// verified stay in the cache over a reload, but their judgement holds for one verifier alone (its
// generation), so a new list voids all of them at once without anything to walk over. References
// that self() has given out stay valid: every identity that was ever in force is kept.

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/ids.h"
#include "base/sha256.h"
#include "base/status.h"
#include "trust/certificate.h"
#include "trust/envelope.h"
#include "trust/identity.h"
#include "trust/key_cache.h"
#include "trust/signature.h"
#include "trust/snapshot.h"
#include "trust/tls.h"

namespace orch::trust {
namespace {

// The snapshot in force. A mutex and no strand, as the one exception: handshakes on gRPC's threads,
// several strands and the store's thread ask at any moment and can't wait for a hop; it is held for
// the copy of a pointer.
class Current {
 public:
  std::shared_ptr<const Snapshot> Get() const {
    const absl::MutexLock lock(&mutex_);
    return snapshot_;
  }
  void Set(std::shared_ptr<const Snapshot> snapshot) {
    const absl::MutexLock lock(&mutex_);
    snapshot_.swap(snapshot);
  }

 private:
  mutable absl::Mutex mutex_;
  std::shared_ptr<const Snapshot> snapshot_ ABSL_GUARDED_BY(mutex_);
};

// Pointers to `chain` behind its first, as OpenSSL wants them; the certificates stay the vector's.
STACK_OF(X509) * RestOf(const std::vector<X509Ptr>& chain) {
  STACK_OF(X509)* rest = sk_X509_new_null();
  for (size_t i = 1; i < chain.size(); ++i) sk_X509_push(rest, chain[i].get());
  return rest;
}

absl::StatusOr<Verifier::Verified> VerifyChainOf(const Verifier& verifier,
                                                 const std::vector<X509Ptr>& chain, absl::Time now,
                                                 Refusal* refusal) {
  STACK_OF(X509)* rest = RestOf(chain);
  const absl::Cleanup freer = [rest] { sk_X509_free(rest); };
  return verifier.VerifyPeer(chain.front().get(), rest, Verifier::Purpose::kPeer, now, refusal);
}

// A chain as it is cached: parsed, judged, with its key at hand.
absl::StatusOr<std::shared_ptr<const KnownChain>> Judge(const Verifier& verifier,
                                                        std::vector<std::string> der,
                                                        absl::Time now, Refusal* refusal) {
  *refusal = Refusal::kChain;
  std::vector<X509Ptr> chain;
  for (const std::string& each : der) {
    ORCH_ASSIGN_OR_RETURN(X509Ptr certificate, ParseCertificateDer(each));
    chain.push_back(std::move(certificate));
  }
  auto out = std::make_shared<KnownChain>();
  ORCH_ASSIGN_OR_RETURN(out->verified, VerifyChainOf(verifier, chain, now, refusal));
  // Not the chain as it came: it is not signed, and whoever passes it on could fill us with more.
  out->der = std::move(out->verified.intermediates);
  out->der.insert(out->der.begin(), std::move(der.front()));
  out->generation = verifier.generation();
  out->key = Share(X509_get0_pubkey(chain.front().get()));
  return out;
}

class FileCredentials : public Credentials {
 public:
  FileCredentials(TrustConfig config, Loaded loaded) : config_(std::move(config)) {
    const absl::MutexLock lock(&update_mutex_);
    Take(std::move(loaded));
  }

  absl::StatusOr<bool> Reload(absl::Time now) override;
  const Peer& self() const override { return *self_.load(); }
  absl::StatusOr<orch::bus::v1::Envelope> Sign(Domain domain, std::string payload,
                                               bool with_chain) const override;
  absl::StatusOr<Peer> Open(Domain domain, absl::string_view envelope, absl::Time now,
                            std::string* payload, Refusal* refusal) const override;
  absl::StatusOr<Peer> VerifyPeerPem(absl::string_view pem_chain, absl::Time now) const override;
  void LearnChain(const std::vector<std::string>& der_chain) const override;
  absl::StatusOr<bool> UpdateCrl(absl::string_view der, absl::Time now) override;
  std::vector<std::string> CrlsDer() const override;
  std::vector<std::pair<std::string, std::string>> CrlNumbers() const override;
  bool IsBehind(const std::map<std::string, std::string>& numbers) const override;
  absl::StatusOr<SSL_CTX*> NewServerContext(const std::vector<Role>& roles) const override {
    TlsPolicy policy;
    policy.server = true;
    policy.roles = roles;
    return NewContext(std::move(policy));
  }
  absl::StatusOr<SSL_CTX*> NewClientContext(const std::string& peer_name) const override {
    TlsPolicy policy;
    policy.peer_name = peer_name;
    return NewContext(std::move(policy));
  }
  std::string certificate_chain_pem() const override;
  std::string private_key_pem() const override { return PrivateKeyPem(current_->Get()->key.get()); }
  std::string ca_pem() const override;
  absl::Time certificate_end() const override { return current_->Get()->self.not_after; }
  absl::Time crl_end(absl::Time now) const override {
    return current_->Get()->verifier->CrlEnd(now);
  }
  absl::Time own_crl_end() const override {
    const std::shared_ptr<const Snapshot> snapshot = current_->Get();
    return snapshot->verifier->CrlEndOf(snapshot->own_ca_keys);
  }
  std::vector<std::string> Warnings(absl::Time now) const override {
    return current_->Get()->verifier->Warnings(now);
  }

 private:
  void Take(Loaded loaded) ABSL_EXCLUSIVE_LOCKS_REQUIRED(update_mutex_);
  absl::StatusOr<SSL_CTX*> NewContext(TlsPolicy policy) const;
  absl::StatusOr<std::shared_ptr<const KnownChain>> Known(const orch::bus::v1::Envelope& envelope,
                                                          absl::Time now, Refusal* refusal) const;

  const TrustConfig config_;
  // Shared with the TLS contexts, which may outlive this.
  const std::shared_ptr<Current> current_ = std::make_shared<Current>();
  mutable KeyCache cache_;

  absl::Mutex update_mutex_;  // one Reload or UpdateCrl at a time
  std::vector<FileStamp> stamps_ ABSL_GUARDED_BY(update_mutex_);
  std::string digest_ ABSL_GUARDED_BY(update_mutex_);
  // Each that self() ever returned a reference to: one for each renewal of the certificate.
  std::deque<Peer> selves_ ABSL_GUARDED_BY(update_mutex_);
  std::atomic<const Peer*> self_ = nullptr;
};

void FileCredentials::Take(Loaded loaded) {
  if (selves_.empty() || selves_.back().key_id != loaded.snapshot.self.key_id ||
      selves_.back().role != loaded.snapshot.self.role) {
    self_ = &selves_.emplace_back(loaded.snapshot.self);
  }
  stamps_ = std::move(loaded.stamps);
  digest_ = std::move(loaded.digest);
  current_->Set(std::make_shared<const Snapshot>(std::move(loaded.snapshot)));
}

absl::StatusOr<bool> FileCredentials::Reload(absl::Time now) {
  const absl::MutexLock lock(&update_mutex_);
  if (!MayHaveChanged(stamps_)) return false;
  const std::shared_ptr<const Snapshot> before = current_->Get();
  ORCH_ASSIGN_OR_RETURN(Loaded loaded, LoadSnapshot(config_, before->verifier->parts().crls, now));
  if (loaded.digest == digest_) {
    stamps_ = std::move(loaded.stamps);
    return false;
  }
  if (loaded.snapshot.self.common_name != before->self.common_name) {
    return absl::FailedPreconditionError(absl::StrCat(
        "certificate ", config_.certificate(), ": it is for ", loaded.snapshot.self.common_name,
        " now, and was for ", before->self.common_name, "; another identity takes a restart"));
  }
  Take(std::move(loaded));
  return true;
}

absl::StatusOr<orch::bus::v1::Envelope> FileCredentials::Sign(Domain domain, std::string payload,
                                                              bool with_chain) const {
  const std::shared_ptr<const Snapshot> snapshot = current_->Get();
  const std::string& key_id = snapshot->self.key_id;
  ORCH_ASSIGN_OR_RETURN(std::string signature,
                        SignBytes(snapshot->key.get(), SignedBytes(domain, key_id, payload)));
  orch::bus::v1::Envelope out;
  out.set_protocol(kEnvelopeProtocol);
  out.set_key_id(key_id);
  if (with_chain) {
    out.add_certificate_chain(DerOf(snapshot->certificate.get()));
    for (const auto& each : snapshot->intermediates) out.add_certificate_chain(DerOf(each.get()));
  }
  out.set_payload(std::move(payload));
  out.set_signature(std::move(signature));
  return out;
}

absl::StatusOr<std::shared_ptr<const KnownChain>> FileCredentials::Known(
    const orch::bus::v1::Envelope& envelope, absl::Time now, Refusal* refusal) const {
  const std::shared_ptr<const Verifier> verifier = current_->Get()->verifier;
  std::shared_ptr<const KnownChain> known = cache_.Find(envelope.key_id());
  if (known != nullptr && known->Holds(verifier->generation(), now)) return known;
  std::vector<std::string> der;
  if (envelope.certificate_chain_size() > 0) {
    der.assign(envelope.certificate_chain().begin(), envelope.certificate_chain().end());
  } else if (known != nullptr) {
    der = known->der;
  } else {
    *refusal = Refusal::kUnknownKey;
    return absl::UnauthenticatedError(absl::StrCat("no certificate in it, and key id ",
                                                   base::Hex(envelope.key_id()).substr(0, 16),
                                                   "… is not known"));
  }
  ORCH_ASSIGN_OR_RETURN(std::shared_ptr<const KnownChain> judged,
                        Judge(*verifier, std::move(der), now, refusal));
  cache_.Put(envelope.key_id(), judged);
  return judged;
}

absl::StatusOr<Peer> FileCredentials::Open(Domain domain, absl::string_view envelope,
                                           absl::Time now, std::string* payload,
                                           Refusal* refusal) const {
  ORCH_ASSIGN_OR_RETURN(orch::bus::v1::Envelope parsed, ParseEnvelope(envelope, refusal));
  ORCH_ASSIGN_OR_RETURN(const std::shared_ptr<const KnownChain> known, Known(parsed, now, refusal));
  *refusal = Refusal::kSignature;
  const absl::Status verdict = VerifyBytes(
      known->key.get(), SignedBytes(domain, parsed.key_id(), parsed.payload()), parsed.signature());
  if (!verdict.ok()) {
    return base::Annotate(verdict, absl::StrCat("certificate ", known->verified.peer.common_name));
  }
  *payload = std::move(*parsed.mutable_payload());
  return known->verified.peer;
}

absl::StatusOr<Peer> FileCredentials::VerifyPeerPem(absl::string_view pem_chain,
                                                    absl::Time now) const {
  if (pem_chain.size() > kEnvelopeMax) {
    return absl::InvalidArgumentError(absl::StrCat("a chain of ", pem_chain.size(), " bytes"));
  }
  ORCH_ASSIGN_OR_RETURN(const std::vector<X509Ptr> chain,
                        ParseCertificatesPem(pem_chain, kChainMax));
  Refusal refusal;
  ORCH_ASSIGN_OR_RETURN(Verifier::Verified verified,
                        VerifyChainOf(*current_->Get()->verifier, chain, now, &refusal));
  return std::move(verified.peer);
}

void FileCredentials::LearnChain(const std::vector<std::string>& der_chain) const {
  if (der_chain.empty() || der_chain.size() > kChainMax) return;
  if (std::any_of(der_chain.begin(), der_chain.end(),
                  [](const std::string& der) { return der.size() > kCertificateMax; })) {
    return;
  }
  auto chain = std::make_shared<KnownChain>();
  chain->der = der_chain;
  cache_.PutNew(base::Sha256(der_chain.front()), std::move(chain));
}

absl::StatusOr<bool> FileCredentials::UpdateCrl(absl::string_view der, absl::Time now) {
  const absl::MutexLock lock(&update_mutex_);
  const std::shared_ptr<const Snapshot> before = current_->Get();
  const Verifier::Parts& parts = before->verifier->parts();
  if (parts.no_crl) return false;
  ORCH_ASSIGN_OR_RETURN(Crl crl, ParseCrlDer(der));
  const std::string what = absl::StrCat("the revocation list of ", crl.issuer);
  if (crl.number.empty()) return absl::InvalidArgumentError(absl::StrCat(what, " has no number"));
  const bool ended = crl.end <= now;
  std::vector<Crl> crls = parts.crls;
  ORCH_ASSIGN_OR_RETURN(const Merge merged, MergeCrl(std::move(crl), parts.AllCas(), &crls));
  if (merged == Merge::kNoSigner) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": that CA is not trusted"));
  }
  if (merged == Merge::kOlder) return false;
  for (size_t i = 0; ended && i < parts.crls.size(); ++i) {
    if (crls[i].crl != parts.crls[i].crl && parts.crls[i].end > now) {
      return absl::InvalidArgumentError(absl::StrCat(what, " has expired"));
    }
  }
  current_->Set(std::make_shared<const Snapshot>(WithCrls(*before, std::move(crls))));
  return true;
}

std::vector<std::string> FileCredentials::CrlsDer() const {
  const std::shared_ptr<const Snapshot> snapshot = current_->Get();
  std::vector<std::string> out;
  for (const Crl& crl : snapshot->verifier->parts().crls) out.push_back(DerOf(crl.crl.get()));
  return out;
}

std::vector<std::pair<std::string, std::string>> FileCredentials::CrlNumbers() const {
  const std::shared_ptr<const Snapshot> snapshot = current_->Get();
  std::vector<std::pair<std::string, std::string>> out;
  for (const Crl& crl : snapshot->verifier->parts().crls) {
    out.emplace_back(base::Hex(crl.signer), crl.number);
  }
  return out;
}

bool FileCredentials::IsBehind(const std::map<std::string, std::string>& numbers) const {
  const std::shared_ptr<const Snapshot> snapshot = current_->Get();
  const Verifier::Parts& parts = snapshot->verifier->parts();
  if (parts.no_crl) return false;
  for (const std::shared_ptr<X509>& ca : parts.AllCas()) {
    const std::string key = KeyDigestOf(ca.get());
    const auto theirs = numbers.find(base::Hex(key));
    if (theirs == numbers.end() || theirs->second.empty()) continue;
    const auto mine = std::find_if(parts.crls.begin(), parts.crls.end(),
                                   [&key](const Crl& crl) { return crl.signer == key; });
    if (mine == parts.crls.end() || IsHigher(theirs->second, mine->number)) return true;
  }
  return false;
}

absl::StatusOr<SSL_CTX*> FileCredentials::NewContext(TlsPolicy policy) const {
  policy.verifier = [current = current_] { return current->Get()->verifier; };
  return NewTlsContext(*current_->Get(), std::move(policy));
}

std::string FileCredentials::certificate_chain_pem() const {
  const std::shared_ptr<const Snapshot> snapshot = current_->Get();
  std::string out = PemOf(snapshot->certificate.get());
  for (const auto& each : snapshot->intermediates) out += PemOf(each.get());
  return out;
}

std::string FileCredentials::ca_pem() const {
  const std::shared_ptr<const Snapshot> snapshot = current_->Get();
  std::string out;
  for (const auto& ca : snapshot->verifier->parts().AllCas()) out += PemOf(ca.get());
  return out;
}

}  // namespace

absl::string_view RoleName(Role role) {
  switch (role) {
    case Role::kNode:
      return "node";
    case Role::kController:
      return "orch-controller";
    case Role::kUser:
      return "orch-user";
  }
  return "";
}

absl::string_view RefusalName(Refusal refusal) {
  switch (refusal) {
    case Refusal::kTooLarge:
      return "too_large";
    case Refusal::kEnvelope:
      return "envelope";
    case Refusal::kUnknownKey:
      return "unknown_key";
    case Refusal::kChain:
      return "chain";
    case Refusal::kRevoked:
      return "revoked";
    case Refusal::kRole:
      return "role";
    case Refusal::kSignature:
      return "signature";
  }
  return "";
}

std::string Sha256(absl::string_view bytes) { return base::Sha256(bytes); }

absl::StatusOr<std::shared_ptr<Credentials>> Credentials::Load(const TrustConfig& config,
                                                               absl::Time now) {
  ORCH_ASSIGN_OR_RETURN(Loaded loaded, LoadSnapshot(config, {}, now));
  return std::make_shared<FileCredentials>(config, std::move(loaded));
}

}  // namespace orch::trust
