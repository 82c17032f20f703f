// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace orch::base {

// SHA-256 (FIPS 180-4) as a name for bytes: digests of schemas, arguments, payloads. Signatures and
// keys are trust/'s.
std::string Sha256(absl::string_view bytes);     // 32 bytes
std::string HexSha256(absl::string_view bytes);  // 64 lower-case hex digits

}  // namespace orch::base
