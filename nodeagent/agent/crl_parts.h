// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "orch/bus/v1/request.pb.h"

namespace orch::nodeagent {

inline constexpr size_t kCrlPartMax = 192 << 10;
inline constexpr uint32_t kCrlPartsMax = 64;  // 12 MiB: some 300,000 revoked certificates
inline constexpr absl::Duration kCrlPartsAge = absl::Minutes(2);

// Puts the parts of one CRL together; a part of another CRL starts anew, so at most one is held.
// Pure.
class CrlParts {
 public:
  // The whole CRL when its last part came and the digest holds; empty while parts are missing.
  // InvalidArgument: a part that can't be one, or bytes that are not what the digest says.
  absl::StatusOr<std::string> OnPart(const orch::bus::v1::CrlUpdate& part, base::Now now);

 private:
  std::string digest_;
  absl::Duration begun_;
  size_t missing_ = 0;
  std::vector<std::optional<std::string>> parts_;
};

}  // namespace orch::nodeagent
