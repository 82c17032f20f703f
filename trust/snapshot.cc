// SPDX-License-Identifier: Apache-2.0

// Files are read and checked as one, in an order in which each check may rely on those before it,
// and the last check verifies my own certificate in the way others will. A configuration that would
// make every handshake fail is refused at start with the file's name, and not found out by a fleet.
// A dedicated CA gives its role to all that is below it; so the CA of everybody, or one above it,
// may not be dedicated: each node's certificate would be a controller's. A revocation list that
// came over the bus is kept when the file on disk is older.

#include "trust/snapshot.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status.h"
#include "trust/certificate.h"
#include "trust/signature.h"

namespace orch::trust {
namespace {

// No terminal is asked for a passphrase.
int NoPassphrase(char*, int, int, void*) { return -1; }

absl::Status CheckTime(const X509* certificate, absl::Time now) {
  if (now > NotAfterOf(certificate)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "certificate ", SubjectOf(certificate), " expired ", TimeText(NotAfterOf(certificate))));
  }
  if (now + kClockSkewMax < NotBeforeOf(certificate)) {
    return absl::FailedPreconditionError(
        absl::StrCat("certificate ", SubjectOf(certificate), " is not valid before ",
                     TimeText(NotBeforeOf(certificate)), "; is the clock right?"));
  }
  return absl::OkStatus();
}

absl::Status LoadCertificate(const TrustConfig& config, absl::Time now, TrustFiles* files,
                             Snapshot* out) {
  ORCH_ASSIGN_OR_RETURN(const std::string pem, files->Read("certificate", config.certificate()));
  const std::string name = absl::StrCat("certificate ", config.certificate());
  absl::StatusOr<std::vector<X509Ptr>> chain = ParseCertificatesPem(pem, kChainMax);
  if (!chain.ok()) return base::Annotate(chain.status(), name);
  for (const X509Ptr& each : *chain) {
    if (DerOf(each.get()).size() > kCertificateMax) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": a certificate over ", kCertificateMax, " bytes"));
    }
  }
  ORCH_RETURN_IF_ERROR(base::Annotate(CheckTime(chain->front().get(), now), name));
  out->certificate = std::move(chain->front());
  for (size_t i = 1; i < chain->size(); ++i) {
    out->intermediates.push_back(std::move((*chain)[i]));
  }
  return absl::OkStatus();
}

absl::Status LoadKey(const TrustConfig& config, TrustFiles* files, Snapshot* out) {
  ORCH_ASSIGN_OR_RETURN(std::string pem, files->Read("private_key", config.private_key(),
                                                     TrustFiles::Secrecy::kPrivate));
  const absl::Cleanup wiper = [&pem] { OPENSSL_cleanse(pem.data(), pem.size()); };
  const BioPtr bio = ReadingBio(pem);
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  const std::string why = TakeOpenSslError();
  const std::string name = absl::StrCat("private_key ", config.private_key());
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": not a private key in PEM without a passphrase: ", why));
  }
  ORCH_RETURN_IF_ERROR(base::Annotate(CheckKey(key.get()), name));
  if (X509_check_private_key(out->certificate.get(), key.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": it does not fit certificate ", config.certificate()));
  }
  out->key = std::move(key);
  return absl::OkStatus();
}

absl::Status LoadCas(absl::string_view what, const std::string& path, absl::Time now,
                     TrustFiles* files, Verifier::Certificates* out) {
  ORCH_ASSIGN_OR_RETURN(const std::string pem, files->Read(what, path));
  const std::string name = absl::StrCat(what, " ", path);
  absl::StatusOr<std::vector<X509Ptr>> all = ParseCertificatesPem(pem, kBundleCertificatesMax);
  if (!all.ok()) return base::Annotate(all.status(), name);
  absl::Status time = absl::OkStatus();
  bool usable = false;
  for (X509Ptr& ca : *all) {
    if (X509_check_ca(ca.get()) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": ", SubjectOf(ca.get()), " is not a CA's certificate"));
    }
    // One that ended beside one that didn't is a finished roll-over: it permits nothing.
    const absl::Status status = CheckTime(ca.get(), now);
    usable = usable || status.ok();
    if (time.ok()) time = status;
    out->push_back(std::move(ca));
  }
  return usable ? absl::OkStatus() : base::Annotate(time, name);
}

// A dedicated CA gives a role to all that is below it, so the CA of everybody can't be one, nor a
// CA above it.
absl::Status CheckDedicated(const Verifier::Certificates& cas, const Verifier::Certificates& other,
                            const Verifier::Certificates& dedicated, absl::string_view what) {
  for (const std::shared_ptr<X509>& role_ca : dedicated) {
    for (const Verifier::Certificates* set : {&cas, &other}) {
      for (const std::shared_ptr<X509>& ca : *set) {
        if (X509_cmp(ca.get(), role_ca.get()) != 0 &&
            X509_check_issued(role_ca.get(), ca.get()) != X509_V_OK) {
          continue;
        }
        return absl::InvalidArgumentError(absl::StrCat(
            "trust.roles.", what, ": ", SubjectOf(role_ca.get()), " is or signed ",
            SubjectOf(ca.get()), ", which is for others too; a dedicated CA is needed"));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ReadFingerprints(const google::protobuf::RepeatedPtrField<std::string>& texts,
                              absl::string_view what, absl::flat_hash_set<std::string>* out) {
  for (const std::string& text : texts) {
    const std::string hex = absl::StrReplaceAll(text, {{":", ""}});
    if (hex.size() != 64 || !std::all_of(hex.begin(), hex.end(), absl::ascii_isxdigit)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "trust.roles.", what, ": `", absl::CHexEscape(text), "` is not a SHA-256 in hex"));
    }
    out->insert(absl::HexStringToBytes(hex));
  }
  return absl::OkStatus();
}

absl::Status LoadRoles(const RoleConfig& roles, absl::Time now, TrustFiles* files,
                       Verifier::Parts* out) {
  out->extension = !roles.has_extension() || roles.extension();
  for (const std::string& path : roles.controller_ca()) {
    ORCH_RETURN_IF_ERROR(LoadCas("controller_ca", path, now, files, &out->controller_cas));
  }
  for (const std::string& path : roles.user_ca()) {
    ORCH_RETURN_IF_ERROR(LoadCas("user_ca", path, now, files, &out->user_cas));
  }
  ORCH_RETURN_IF_ERROR(
      CheckDedicated(out->cas, out->user_cas, out->controller_cas, "controller_ca"));
  ORCH_RETURN_IF_ERROR(CheckDedicated(out->cas, out->controller_cas, out->user_cas, "user_ca"));
  ORCH_RETURN_IF_ERROR(ReadFingerprints(roles.controller_fingerprints(), "controller_fingerprints",
                                        &out->controller_fingerprints));
  return ReadFingerprints(roles.user_fingerprints(), "user_fingerprints", &out->user_fingerprints);
}

// A list that has the name of a CA of ours and is not signed by it.
struct Stranger {
  std::string issuer_digest;
  absl::Status why;
};

// Puppet gives a new CA the name of the old one: once the old one is not trusted any more, its list
// is a stranger beside that of the new one, and changes nothing. Without that of the new one it is
// the wrong file.
absl::Status CheckSigners(const std::vector<Stranger>& strangers, const Verifier::Parts& parts,
                          absl::string_view name) {
  for (const Stranger& stranger : strangers) {
    const bool other = std::any_of(parts.crls.begin(), parts.crls.end(), [&](const Crl& crl) {
      return crl.issuer_digest == stranger.issuer_digest;
    });
    if (!other) return base::Annotate(stranger.why, name);
  }
  return absl::OkStatus();
}

// Each list is for its own CA: one that has ended refuses what is below that CA (the verifier
// does), and nothing else. Whether my own certificate can still be judged is VerifySelf's question.
absl::Status LoadCrls(const TrustConfig& config, const std::vector<Crl>& known, TrustFiles* files,
                      Verifier::Parts* out) {
  out->no_crl = config.no_crl();
  if (out->no_crl) {
    if (config.crl().empty()) return absl::OkStatus();
    return absl::InvalidArgumentError("trust: crl and no_crl exclude each other");
  }
  ORCH_ASSIGN_OR_RETURN(const std::string pem, files->Read("crl", config.crl()));
  const std::string name = absl::StrCat("crl ", config.crl());
  absl::StatusOr<std::vector<Crl>> crls = ParseCrlsPem(pem);
  if (!crls.ok()) return base::Annotate(crls.status(), name);
  const Verifier::Certificates cas = out->AllCas();
  std::vector<Stranger> strangers;
  for (Crl& crl : *crls) {
    std::string issuer = crl.issuer_digest;
    // A list of a CA that we don't trust changes nothing.
    const absl::StatusOr<Merge> merged = MergeCrl(std::move(crl), cas, &out->crls);
    if (!merged.ok()) strangers.push_back({std::move(issuer), merged.status()});
  }
  for (const Crl& crl : known) {
    // Not OK: its CA is not trusted any more.
    MergeCrl(crl, cas, &out->crls).IgnoreError();
  }
  return CheckSigners(strangers, *out, name);
}

absl::Status VerifySelf(const TrustConfig& config, absl::Time now, Snapshot* out) {
  STACK_OF(X509)* rest = sk_X509_new_null();
  const absl::Cleanup freer = [rest] { sk_X509_free(rest); };
  for (const auto& each : out->intermediates) sk_X509_push(rest, each.get());
  Refusal refusal;
  absl::StatusOr<Verifier::Verified> self = out->verifier->VerifyPeer(
      out->certificate.get(), rest, Verifier::Purpose::kSelf, now, &refusal);
  if (!self.ok()) {
    // Not Unauthenticated: this is about our own configuration.
    return absl::FailedPreconditionError(
        absl::StrCat("certificate ", config.certificate(), ": ", self.status().message(), " (ca ",
                     config.ca(), config.no_crl() ? "" : ", crl ", config.crl(), ")"));
  }
  out->self = std::move(self->peer);
  out->own_ca_keys = std::move(self->ca_keys);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Loaded> LoadSnapshot(const TrustConfig& config, const std::vector<Crl>& known,
                                    absl::Time now) {
  TrustFiles files;
  Loaded out;
  ORCH_RETURN_IF_ERROR(LoadCertificate(config, now, &files, &out.snapshot));
  ORCH_RETURN_IF_ERROR(LoadKey(config, &files, &out.snapshot));
  Verifier::Parts parts;
  ORCH_RETURN_IF_ERROR(LoadCas("ca", config.ca(), now, &files, &parts.cas));
  ORCH_RETURN_IF_ERROR(LoadRoles(config.roles(), now, &files, &parts));
  ORCH_RETURN_IF_ERROR(LoadCrls(config, known, &files, &parts));
  out.snapshot.verifier = std::make_shared<const Verifier>(std::move(parts));
  ORCH_RETURN_IF_ERROR(VerifySelf(config, now, &out.snapshot));
  out.stamps = files.stamps();
  out.digest = files.digest();
  return out;
}

Snapshot WithCrls(const Snapshot& snapshot, std::vector<Crl> crls) {
  Snapshot out = snapshot;
  Verifier::Parts parts = snapshot.verifier->parts();
  parts.crls = std::move(crls);
  out.verifier = std::make_shared<const Verifier>(std::move(parts));
  return out;
}

std::string PrivateKeyPem(EVP_PKEY* key) {
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  if (PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    ERR_clear_error();
    return "";
  }
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, size > 0 ? size : 0);
}

}  // namespace orch::trust
