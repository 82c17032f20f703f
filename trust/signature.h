// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trust/openssl.h"

// Signatures whose algorithm follows from the key alone:
//   ECDSA P-256         SHA-256, DER (RFC 3279)
//   ECDSA P-384         SHA-384, DER
//   Ed25519             RFC 8032
//   RSA 2048..8192 bit  PSS with SHA-256, MGF1 with SHA-256, a salt of 32 bytes (RFC 8017)
// Every other key is refused, also RSA-PSS and EC keys whose curve is spelled out.
// Pure, thread-safe.

namespace orch::trust {

// The bytes of the longest signature, RSA with 8192 bits.
inline constexpr size_t kSignatureMax = 1024;

// Checks that a key is one of these. InvalidArgument says what it is: `RSA with 1024 bits; at least
// 2048 are needed`.
absl::Status CheckKey(const EVP_PKEY* key);

// Signs `bytes`. Errors: what CheckKey says; Internal: OpenSSL failed.
absl::StatusOr<std::string> SignBytes(EVP_PKEY* key, absl::string_view bytes);

// Verifies a signature of `bytes`. Unauthenticated: it is not one of this key.
absl::Status VerifyBytes(EVP_PKEY* key, absl::string_view bytes, absl::string_view signature);

}  // namespace orch::trust
