// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// gzip (RFC 1952) for what is too large to travel as it is. Pure.

namespace orch::base {

std::string Gzip(absl::string_view text);
// InvalidArgument: not gzip, or cut. ResourceExhausted: it would be more than `bytes_max` bytes; no
// more than that is ever unpacked.
absl::StatusOr<std::string> Gunzip(absl::string_view packed, size_t bytes_max);

}  // namespace orch::base
