// SPDX-License-Identifier: Apache-2.0
#include "trust/crl.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/ids.h"
#include "base/status.h"
#include "trust/certificate.h"

namespace orch::trust {
namespace {

absl::StatusOr<std::string> NumberOf(const X509_CRL* crl) {
  int critical = 0;
  ASN1_INTEGER* integer =
      static_cast<ASN1_INTEGER*>(X509_CRL_get_ext_d2i(crl, NID_crl_number, &critical, nullptr));
  if (integer == nullptr) {
    if (critical == -1) return std::string();
    return absl::InvalidArgumentError("its number is damaged or there are several");
  }
  const BignumPtr number(ASN1_INTEGER_to_BN(integer, nullptr));
  ASN1_INTEGER_free(integer);
  // RFC 5280, 5.2.3: not negative, at most 20 bytes.
  if (number == nullptr || BN_is_negative(number.get()) || BN_num_bytes(number.get()) > 20) {
    return absl::InvalidArgumentError("its number is negative or too large");
  }
  char* text = BN_bn2dec(number.get());
  std::string out = text == nullptr ? "" : text;
  OPENSSL_free(text);
  return out;
}

absl::StatusOr<Crl> Describe(CrlPtr crl) {
  Crl out;
  const X509_NAME* issuer = X509_CRL_get_issuer(crl.get());
  out.issuer = NameText(issuer);
  const unsigned char* name = nullptr;
  size_t size = 0;
  if (X509_NAME_get0_der(issuer, &name, &size) != 1) {
    return absl::InvalidArgumentError("a revocation list without an issuer");
  }
  out.issuer_digest =
      base::Hex(Sha256(absl::string_view(reinterpret_cast<const char*>(name), size)));
  const std::string what = absl::StrCat("the revocation list of ", out.issuer);
  if (X509_CRL_get_ext_by_NID(crl.get(), NID_delta_crl, -1) >= 0 ||
      X509_CRL_get_ext_by_NID(crl.get(), NID_issuing_distribution_point, -1) >= 0) {
    return absl::InvalidArgumentError(absl::StrCat(what, " is not a whole one"));
  }
  absl::StatusOr<std::string> number = NumberOf(crl.get());
  if (!number.ok()) return base::Annotate(number.status(), what);
  out.number = *std::move(number);
  out.start = ToTime(X509_CRL_get0_lastUpdate(crl.get()));
  out.end = ToTime(X509_CRL_get0_nextUpdate(crl.get()));
  out.crl = std::move(crl);
  return out;
}

}  // namespace

absl::StatusOr<Crl> ParseCrlDer(absl::string_view der) {
  if (der.size() > kCrlMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a revocation list of ", der.size(), " bytes; the limit is ", kCrlMax));
  }
  const auto* begin = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* at = begin;
  CrlPtr crl(d2i_X509_CRL(nullptr, &at, static_cast<long>(der.size())));
  if (crl == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("not a revocation list: ", TakeOpenSslError()));
  }
  if (at != begin + der.size()) {
    return absl::InvalidArgumentError("bytes behind a revocation list");
  }
  return Describe(std::move(crl));
}

absl::StatusOr<std::vector<Crl>> ParseCrlsPem(absl::string_view pem) {
  ERR_clear_error();
  std::vector<Crl> out;
  const BioPtr bio = ReadingBio(pem);
  for (;;) {
    CrlPtr crl(PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr));
    if (crl == nullptr) break;
    if (out.size() == kCrlsMax) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", kCrlsMax, " revocation lists"));
    }
    ORCH_ASSIGN_OR_RETURN(Crl described, Describe(std::move(crl)));
    out.push_back(std::move(described));
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const std::string why = TakeOpenSslError();
  if (!at_end) {
    return absl::InvalidArgumentError(
        absl::StrCat("revocation list ", out.size() + 1, " in it is damaged: ", why));
  }
  if (out.empty()) return absl::InvalidArgumentError("no PEM revocation list in it");
  return out;
}

std::string DerOf(const X509_CRL* crl) {
  unsigned char* bytes = nullptr;
  const int size = i2d_X509_CRL(crl, &bytes);
  if (size < 0) return "";
  std::string out(reinterpret_cast<char*>(bytes), size);
  OPENSSL_free(bytes);
  return out;
}

bool IsHigher(absl::string_view a, absl::string_view b) {
  return a.size() != b.size() ? a.size() > b.size() : a > b;
}

bool IsNewer(const Crl& a, const Crl& b) {
  if (a.number.empty() || b.number.empty()) return a.start > b.start;
  return IsHigher(a.number, b.number);
}

absl::StatusOr<Merge> MergeCrl(Crl crl, const std::vector<std::shared_ptr<X509>>& cas,
                               std::vector<Crl>* crls) {
  bool named = false;
  crl.signer.clear();
  for (const std::shared_ptr<X509>& ca : cas) {
    if (X509_NAME_cmp(X509_get_subject_name(ca.get()), X509_CRL_get_issuer(crl.crl.get())) != 0) {
      continue;
    }
    named = true;
    if ((X509_get_key_usage(ca.get()) & KU_CRL_SIGN) == 0) continue;
    const std::string key = KeyDigestOf(ca.get());
    if (crl.signer.empty()) {
      if (X509_CRL_verify(crl.crl.get(), X509_get0_pubkey(ca.get())) != 1) continue;
      crl.signer = key;
      crl.ca_end = NotAfterOf(ca.get());
    } else if (crl.signer == key) {
      // The same CA, renewed: it lives as long as its last certificate.
      crl.ca_end = std::max(crl.ca_end, NotAfterOf(ca.get()));
    }
  }
  ERR_clear_error();
  if (!named) return Merge::kNoSigner;
  if (crl.signer.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the revocation list of ", crl.issuer, " is not signed by that CA"));
  }
  for (Crl& present : *crls) {
    if (present.issuer_digest != crl.issuer_digest || present.signer != crl.signer) continue;
    if (!IsNewer(crl, present)) return Merge::kOlder;
    present = std::move(crl);
    return Merge::kTaken;
  }
  if (crls->size() >= kCrlsMax) {
    return absl::InvalidArgumentError(absl::StrCat("more than ", kCrlsMax, " revocation lists"));
  }
  crls->push_back(std::move(crl));
  return Merge::kTaken;
}

}  // namespace orch::trust
