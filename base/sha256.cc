// SPDX-License-Identifier: Apache-2.0
#include "base/sha256.h"

#include <openssl/sha.h>

#include "base/ids.h"

namespace orch::base {

std::string Sha256(absl::string_view bytes) {
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

std::string HexSha256(absl::string_view bytes) { return Hex(Sha256(bytes)); }

}  // namespace orch::base
