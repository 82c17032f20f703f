// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trust/identity.h"
#include "trust/openssl.h"

// Reads the parts of a certificate, each strictly. Nothing here verifies that a certificate is
// genuine; verifier.h does. Pure, thread-safe.

namespace orch::trust {

// The most certificates of one chain, including the leaf.
inline constexpr size_t kChainMax = 8;
// Bytes of one certificate's DER.
inline constexpr size_t kCertificateMax = 16 << 10;
// Certificates of a bundle file.
inline constexpr size_t kBundleCertificatesMax = 64;

// Parses exactly one certificate in DER. InvalidArgument: it is none, or there are bytes behind it.
absl::StatusOr<X509Ptr> ParseCertificateDer(absl::string_view der);
// Parses one to `max` certificates in PEM. Text between them is skipped; a damaged one is an error.
absl::StatusOr<std::vector<X509Ptr>> ParseCertificatesPem(absl::string_view pem, size_t max);

std::string DerOf(const X509* certificate);
std::string PemOf(X509* certificate);

// A name as text for people: `CN=node1.example.com` (RFC 2253; everything but ASCII is escaped; cut
// at 256 characters).
std::string NameText(const X509_NAME* name);
std::string SubjectOf(const X509* certificate);
// The serial number in upper-case hex without leading zeros.
std::string SerialOf(const X509* certificate);
// The time in UTC. InfiniteFuture: `time` is null. InfinitePast: it does not parse.
absl::Time ToTime(const ASN1_TIME* time);
// For people: `2026-03-01T00:00:00Z`.
std::string TimeText(absl::Time time);
absl::Time NotBeforeOf(const X509* certificate);
absl::Time NotAfterOf(const X509* certificate);
// SHA-256 of the public key with its algorithm (SubjectPublicKeyInfo), 32 bytes: what a CA keeps
// when its certificate is renewed, and what tells two CAs of one name apart.
std::string KeyDigestOf(const X509* certificate);

// The common name of the subject, which must fit `role`: an identity (base/ids.h), or for a user
// `[A-Za-z0-9._@:-]{1,128}`. InvalidArgument: there is none, there are several, or it has other
// characters.
absl::StatusOr<std::string> CommonNameOf(const X509* certificate, Role role);

// The value of pp_auth_role (1.3.6.1.4.1.34380.1.3.13), or nullopt without it. InvalidArgument:
// there are several, or it is not exactly one DER UTF8String.
absl::StatusOr<std::optional<std::string>> AuthRoleOf(const X509* certificate);

}  // namespace orch::trust
