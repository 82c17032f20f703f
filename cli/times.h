// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

// Times as people type them. Pure.

namespace orch::cli {

// The value of --since and --until: RFC 3339 (`2026-03-01T02:00:00Z`, `2026-03-01T02:00:00+01:00`),
// a date or a date and time of `zone` (`2026-03-01`, `2026-03-01 02:00`), or how long ago (`90m`,
// `2d`). InvalidArgument names the flag.
absl::StatusOr<absl::Time> ParseTime(const std::string& flag, const std::string& text,
                                     absl::Time now, absl::TimeZone zone);

}  // namespace orch::cli
