// SPDX-License-Identifier: Apache-2.0

// Chains are judged in this file alone, so that TLS, gRPC and envelopes can't come to different
// answers. OpenSSL verifies the chain; role and name are read afterwards, from a certificate that
// is known to be genuine. A judgement carries the time in which it holds, the shortest of all
// certificates in the chain and all revocation lists, because it is cached: without that a node
// would stay accepted after its list had ended. What OpenSSL says of an error names neither
// certificate nor date, so WhyRefused finds the words that an operator can act on.

#include "trust/verifier.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <atomic>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "trust/certificate.h"
#include "trust/signature.h"

namespace orch::trust {
namespace {

// Security level of chains: 112 bits, so RSA below 2048 bits and SHA-1 are refused (see
// SSL_CTX_set_security_level(3)).
constexpr int kAuthLevel = 2;

uint64_t NextGeneration() {
  static std::atomic<uint64_t> last = 0;
  return ++last;
}

bool Contains(const Verifier::Certificates& certificates, const X509* certificate) {
  return std::any_of(certificates.begin(), certificates.end(), [certificate](const auto& each) {
    return X509_cmp(each.get(), certificate) == 0;
  });
}

std::string Describe(const X509* certificate) {
  return absl::StrCat("certificate ", SubjectOf(certificate), " (serial ", SerialOf(certificate),
                      ")");
}

Refusal RefusalOf(int error) {
  switch (error) {
    case X509_V_ERR_CERT_REVOKED:
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
    case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
    case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
      return Refusal::kRevoked;
    default:
      return Refusal::kChain;
  }
}

// What one verification knows besides OpenSSL, and what OpenSSL forgets before it returns.
struct Leniency {
  absl::Time now;
  Verifier::EndedLists ended;
  absl::Time list_end = absl::InfiniteFuture();  // of the list that refused
};

int LeniencyIndex() {
  static const int index = X509_STORE_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

Leniency* LeniencyOf(X509_STORE_CTX* context) {
  return static_cast<Leniency*>(X509_STORE_CTX_get_ex_data(context, LeniencyIndex()));
}

// Why OpenSSL refused, with the name and the date that its own words lack.
std::string WhyRefused(X509_STORE_CTX* context, X509* leaf) {
  const int error = X509_STORE_CTX_get_error(context);
  const X509* at = X509_STORE_CTX_get_current_cert(context);
  if (at == nullptr) at = leaf;
  const std::string issuer = NameText(X509_get_issuer_name(at));
  std::string why;
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      why = absl::StrCat("expired ", TimeText(NotAfterOf(at)));
      break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      why = absl::StrCat("not valid before ", TimeText(NotBeforeOf(at)));
      break;
    case X509_V_ERR_CERT_REVOKED:
      why = absl::StrCat("revoked by ", issuer);
      break;
    case X509_V_ERR_UNABLE_TO_GET_CRL:
      why = absl::StrCat("there is no revocation list of its CA ", issuer);
      break;
    case X509_V_ERR_CRL_HAS_EXPIRED:
      why = absl::StrCat("the revocation list of its CA ", issuer, " expired ",
                         TimeText(LeniencyOf(context)->list_end));
      break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      why = absl::StrCat("does not lead to a trusted CA (issuer ", issuer, ")");
      break;
    default:
      why = X509_verify_cert_error_string(error);
  }
  return at == leaf ? absl::StrCat(Describe(leaf), ": ", why)
                    : absl::StrCat(Describe(leaf), ": ", Describe(at), " above it: ", why);
}

bool IsFor(X509* certificate, const std::string& name) {
  const bool has_san = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1) >= 0;
  if (X509_check_ip_asc(certificate, name.c_str(), 0) == 1) return true;
  const unsigned flags =
      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | (has_san ? X509_CHECK_FLAG_NEVER_CHECK_SUBJECT : 0);
  return X509_check_host(certificate, name.data(), name.size(), flags, nullptr) == 1;
}

// Asked by OpenSSL for each fault that it finds (X509_STORE_CTX_set_verify_cb(3)): 1 goes on as if
// there were none.
int OnFault(int ok, X509_STORE_CTX* context) {
  if (ok == 1) return 1;
  Leniency& leniency = *LeniencyOf(context);
  bool fine = false;
  switch (X509_STORE_CTX_get_error(context)) {
    case X509_V_ERR_CERT_NOT_YET_VALID:
      fine = NotBeforeOf(X509_STORE_CTX_get_current_cert(context)) <= leniency.now + kClockSkewMax;
      break;
    case X509_V_ERR_CRL_NOT_YET_VALID:
      // RFC 5280, 6.3.3, does not ask when a list was signed: of what a trusted CA signed the
      // newest counts, whatever our clock says.
      fine = true;
      break;
    case X509_V_ERR_CRL_HAS_EXPIRED:
      fine = leniency.ended == Verifier::EndedLists::kTolerate;
      leniency.list_end =
          ToTime(X509_CRL_get0_nextUpdate(X509_STORE_CTX_get0_current_crl(context)));
      break;
    default:
      break;
  }
  if (fine) X509_STORE_CTX_set_error(context, X509_V_OK);
  return fine ? 1 : 0;
}

int OpenSslPurpose(Verifier::Purpose purpose) {
  switch (purpose) {
    case Verifier::Purpose::kPeer:
      return X509_PURPOSE_SSL_CLIENT;
    case Verifier::Purpose::kServer:
      return X509_PURPOSE_SSL_SERVER;
    case Verifier::Purpose::kSelf:
      break;
  }
  return X509_PURPOSE_ANY;
}

}  // namespace

Verifier::Certificates Verifier::Parts::AllCas() const {
  Certificates out = cas;
  out.insert(out.end(), controller_cas.begin(), controller_cas.end());
  out.insert(out.end(), user_cas.begin(), user_cas.end());
  return out;
}

Verifier::Verifier(Parts parts)
    : parts_(std::move(parts)),
      all_cas_(parts_.AllCas()),
      generation_(NextGeneration()),
      store_(X509_STORE_new()) {
  for (const std::shared_ptr<X509>& ca : all_cas_) {
    ORCH_CHECK(X509_STORE_add_cert(store_.get(), ca.get()) == 1);
  }
  for (const Crl& crl : parts_.crls) {
    ORCH_CHECK(X509_STORE_add_crl(store_.get(), crl.crl.get()) == 1);
  }
  X509_VERIFY_PARAM* parameters = X509_STORE_get0_param(store_.get());
  X509_VERIFY_PARAM_set_auth_level(parameters, kAuthLevel);
  X509_VERIFY_PARAM_set_depth(parameters, static_cast<int>(kChainMax));
  if (!parts_.no_crl) {
    X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  }
}

absl::Time Verifier::CrlEnd(absl::Time now) const {
  absl::Time end = absl::InfiniteFuture();
  for (const Crl& crl : parts_.crls) {
    if (crl.ca_end >= now) end = std::min(end, crl.end);
  }
  return end;
}

absl::Time Verifier::CrlEndOf(const std::vector<std::string>& ca_keys) const {
  absl::Time end = absl::InfiniteFuture();
  for (const Crl& crl : parts_.crls) {
    const bool theirs = std::find(ca_keys.begin(), ca_keys.end(), crl.signer) != ca_keys.end();
    if (theirs) end = std::min(end, crl.end);
  }
  return end;
}

std::vector<std::string> Verifier::Warnings(absl::Time now) const {
  std::vector<std::string> out;
  for (const std::shared_ptr<X509>& ca : all_cas_) {
    if (NotAfterOf(ca.get()) >= now) continue;
    std::string text =
        absl::StrCat("CA ", SubjectOf(ca.get()), " (serial ", SerialOf(ca.get()), ") ended ",
                     TimeText(NotAfterOf(ca.get())), ": what it signed is refused");
    const std::string key = KeyDigestOf(ca.get());
    for (const Crl& crl : parts_.crls) {
      if (crl.signer != key) continue;
      absl::StrAppend(&text, ", and its revocation list ",
                      crl.number.empty() ? "" : absl::StrCat("(number ", crl.number, ") "),
                      crl.end < now ? "ended " : "ends ", TimeText(crl.end));
    }
    out.push_back(std::move(text));
  }
  for (const Crl& crl : parts_.crls) {
    const std::string what = absl::StrCat("the revocation list of CA ", crl.issuer);
    if (crl.ca_end >= now && crl.end <= now) {
      out.push_back(absl::StrCat(what, " ended ", TimeText(crl.end),
                                 ": what that CA signed is refused until there is a new one"));
    }
    if (crl.start > now + kClockSkewMax) {
      out.push_back(absl::StrCat(what, " was signed ", TimeText(crl.start),
                                 ", which is in the future; is the clock right?"));
    }
  }
  return out;
}

absl::StatusOr<Verifier::Chain> Verifier::VerifyChain(X509* leaf, STACK_OF(X509) * rest,
                                                      Purpose purpose, absl::Time now,
                                                      EndedLists ended, Refusal* refusal) const {
  *refusal = Refusal::kChain;
  const StoreContextPtr context(X509_STORE_CTX_new());
  if (X509_STORE_CTX_init(context.get(), store_.get(), leaf, rest) != 1) {
    return absl::InternalError(absl::StrCat("verify a chain: ", TakeOpenSslError()));
  }
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, absl::ToTimeT(now));
  X509_VERIFY_PARAM_set_purpose(parameters, OpenSslPurpose(purpose));
  Leniency leniency{now, ended};
  X509_STORE_CTX_set_ex_data(context.get(), LeniencyIndex(), &leniency);
  X509_STORE_CTX_set_verify_cb(context.get(), OnFault);
  const int verdict = X509_verify_cert(context.get());
  ERR_clear_error();
  if (verdict != 1) {
    *refusal = RefusalOf(X509_STORE_CTX_get_error(context.get()));
    return absl::UnauthenticatedError(WhyRefused(context.get(), leaf));
  }
  Chain out;
  const STACK_OF(X509)* chain = X509_STORE_CTX_get0_chain(context.get());
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    const X509* each = sk_X509_value(chain, i);
    out.from = std::max(out.from, NotBeforeOf(each) - kClockSkewMax);
    out.until = std::min(out.until, NotAfterOf(each));
    if (i == 0) continue;
    out.controller_ca = out.controller_ca || Contains(parts_.controller_cas, each);
    out.user_ca = out.user_ca || Contains(parts_.user_cas, each);
    if (!Contains(all_cas_, each)) out.intermediates.push_back(DerOf(each));
    out.ca_keys.push_back(KeyDigestOf(each));
  }
  // Of other CAs' lists none matters: one that ended would have each envelope verified anew.
  out.until = std::min(out.until, CrlEndOf(out.ca_keys));
  return out;
}

absl::StatusOr<Role> Verifier::RoleOf(X509* leaf, const Chain& chain,
                                      const std::string& key_id) const {
  bool controller = chain.controller_ca || parts_.controller_fingerprints.contains(key_id);
  bool user = chain.user_ca || parts_.user_fingerprints.contains(key_id);
  if (parts_.extension) {
    ORCH_ASSIGN_OR_RETURN(const std::optional<std::string> value, AuthRoleOf(leaf));
    controller = controller || value == RoleName(Role::kController);
    user = user || value == RoleName(Role::kUser);
  }
  if (controller && user) {
    return absl::InvalidArgumentError("the certificate has two roles");
  }
  return controller ? Role::kController : user ? Role::kUser : Role::kNode;
}

absl::StatusOr<Verifier::Verified> Verifier::VerifyPeer(X509* leaf, STACK_OF(X509) * rest,
                                                        Purpose purpose, absl::Time now,
                                                        Refusal* refusal, EndedLists ended) const {
  ORCH_ASSIGN_OR_RETURN(Chain chain, VerifyChain(leaf, rest, purpose, now, ended, refusal));
  const EVP_PKEY* key = X509_get0_pubkey(leaf);
  if (key == nullptr) {
    return absl::UnauthenticatedError(
        absl::StrCat(Describe(leaf), ": its key is not readable: ", TakeOpenSslError()));
  }
  if (const absl::Status status = CheckKey(key); !status.ok()) {
    return absl::UnauthenticatedError(absl::StrCat(Describe(leaf), ": it has ", status.message()));
  }
  if ((X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE) == 0) {
    return absl::UnauthenticatedError(
        absl::StrCat(Describe(leaf), ": its key usage does not allow signatures"));
  }
  *refusal = Refusal::kRole;
  Verified out;
  out.from = chain.from;
  out.until = chain.until;
  out.intermediates = std::move(chain.intermediates);
  if (purpose == Purpose::kSelf) out.ca_keys = std::move(chain.ca_keys);
  out.peer.key_id = Sha256(DerOf(leaf));
  out.peer.serial = SerialOf(leaf);
  out.peer.not_after = NotAfterOf(leaf);
  const absl::StatusOr<Role> role = RoleOf(leaf, chain, out.peer.key_id);
  if (!role.ok()) {
    return absl::UnauthenticatedError(absl::StrCat(Describe(leaf), ": ", role.status().message()));
  }
  out.peer.role = *role;
  *refusal = Refusal::kChain;
  absl::StatusOr<std::string> name = CommonNameOf(leaf, *role);
  if (!name.ok()) {
    return absl::UnauthenticatedError(absl::StrCat(Describe(leaf), ": ", name.status().message()));
  }
  out.peer.common_name = *std::move(name);
  return out;
}

absl::Status Verifier::VerifyServer(X509* leaf, STACK_OF(X509) * rest, const std::string& name,
                                    absl::Time now, Refusal* refusal) const {
  ORCH_RETURN_IF_ERROR(
      VerifyChain(leaf, rest, Purpose::kServer, now, EndedLists::kRefuse, refusal).status());
  if (name.empty() || IsFor(leaf, name)) return absl::OkStatus();
  return absl::UnauthenticatedError(absl::StrCat(Describe(leaf), ": it is not for ", name));
}

}  // namespace orch::trust
