// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/agent/crl_parts.h"

#include "absl/strings/str_cat.h"
#include "base/sha256.h"

namespace orch::nodeagent {

absl::StatusOr<std::string> CrlParts::OnPart(const orch::bus::v1::CrlUpdate& part, base::Now now) {
  if (part.digest().size() != 32 || part.parts() == 0 || part.parts() > kCrlPartsMax ||
      part.part() >= part.parts() || part.data().empty() || part.data().size() > kCrlPartMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("CRL part ", part.part(), " of ", part.parts(), ", ", part.data().size(),
                     " bytes: at most ", kCrlPartsMax, " parts of ", kCrlPartMax, " bytes"));
  }
  if (part.digest() != digest_ || part.parts() != parts_.size() ||
      now.steady - begun_ > kCrlPartsAge) {
    digest_ = part.digest();
    begun_ = now.steady;
    missing_ = part.parts();
    parts_.assign(part.parts(), std::nullopt);
  }
  std::optional<std::string>& slot = parts_[part.part()];
  if (!slot) --missing_;
  slot = part.data();
  if (missing_ > 0) return std::string();

  std::string whole;
  for (const auto& piece : parts_) whole += *piece;
  const std::string expected = std::move(digest_);
  digest_.clear();
  parts_.clear();
  if (base::Sha256(whole) != expected) {
    return absl::InvalidArgumentError("CRL: the parts together are not what their digest says");
  }
  return whole;
}

}  // namespace orch::nodeagent
