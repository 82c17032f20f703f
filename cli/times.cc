// SPDX-License-Identifier: Apache-2.0
#include "cli/times.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/config.h"

namespace orch::cli {

absl::StatusOr<absl::Time> ParseTime(const std::string& flag, const std::string& text,
                                     absl::Time now, absl::TimeZone zone) {
  absl::Time time;
  std::string error;
  if (absl::ParseTime(absl::RFC3339_full, absl::AsciiStrToUpper(text), &time, &error)) return time;
  const std::string local = absl::StrReplaceAll(text, {{"T", " "}});
  for (const char* format : {"%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"}) {
    if (absl::ParseTime(format, local, zone, &time, &error)) return time;
  }
  const absl::StatusOr<absl::Duration> ago = base::ParseDuration(text);
  if (ago.ok() && *ago >= absl::ZeroDuration()) return now - *ago;
  return absl::InvalidArgumentError(absl::StrCat(
      flag, " ", text,
      ": expected how long ago (90m, 2d), a date (2026-03-01, \"2026-03-01 02:00\") or RFC 3339 "
      "(2026-03-01T02:00:00Z)"));
}

}  // namespace orch::cli
