// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trust/openssl.h"

// Certificate revocation lists (RFC 5280, section 5). Only whole lists are accepted: delta lists
// and lists that cover a part of a CA's certificates are refused. Pure, thread-safe.

namespace orch::trust {

// Bytes of one list's DER: some 200,000 revoked certificates.
inline constexpr size_t kCrlMax = 8 << 20;
// The most lists of a bundle file, and the most that are in force at once.
inline constexpr size_t kCrlsMax = 64;

struct Crl {
  std::shared_ptr<X509_CRL> crl;
  std::string issuer;         // for people
  std::string issuer_digest;  // hex SHA-256 of the issuer's name in DER
  std::string number;         // decimal; empty where the list has none
  absl::Time start;           // thisUpdate
  absl::Time end;             // nextUpdate; InfiniteFuture where the list has none
  // Set by MergeCrl:
  std::string signer;                          // KeyDigestOf the CA that signed it
  absl::Time ca_end = absl::InfiniteFuture();  // when that CA's last certificate ends
};

absl::StatusOr<Crl> ParseCrlDer(absl::string_view der);
// Parses one or more lists in PEM, concatenated as Puppet writes them. A damaged one is an error.
absl::StatusOr<std::vector<Crl>> ParseCrlsPem(absl::string_view pem);
std::string DerOf(const X509_CRL* crl);

// Whether the number `a` is higher than `b`; both decimal as in Crl::number.
bool IsHigher(absl::string_view a, absl::string_view b);
// Whether `a` replaces `b` of the same CA: by number, or by start where one has no number.
bool IsNewer(const Crl& a, const Crl& b);

enum class Merge {
  kTaken,     // it is in force now
  kOlder,     // the one in force is as new, or newer
  kNoSigner,  // none of the CAs has the issuer's name
};
// Puts `crl` into `crls` if one of `cas` signed it and it is newer than what is there of the same
// name and key: two CAs may share a name during a roll-over. InvalidArgument: a CA has the name but
// did not sign it, or may not sign lists.
absl::StatusOr<Merge> MergeCrl(Crl crl, const std::vector<std::shared_ptr<X509>>& cas,
                               std::vector<Crl>* crls);

}  // namespace orch::trust
