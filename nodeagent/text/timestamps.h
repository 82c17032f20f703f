// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

// Conversions between Abseil's times and protobuf's. Pure.

namespace orch::nodeagent {

inline google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  google::protobuf::Timestamp out;
  const int64_t seconds = absl::ToUnixSeconds(time);  // rounds down
  out.set_seconds(seconds);
  out.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
  return out;
}

inline absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

// The time at which a ULID (base/ids.h) was made: its first ten characters are milliseconds since
// 1970 in Crockford's base32. InfinitePast: `ulid` is not one.
inline absl::Time UlidTime(absl::string_view ulid) {
  constexpr absl::string_view kDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  if (ulid.size() != 26) return absl::InfinitePast();
  int64_t milliseconds = 0;
  for (const char c : ulid.substr(0, 10)) {
    const size_t digit = kDigits.find(c);
    if (digit == absl::string_view::npos) return absl::InfinitePast();
    milliseconds = milliseconds * 32 + static_cast<int64_t>(digit);
  }
  return absl::FromUnixMillis(milliseconds);
}

}  // namespace orch::nodeagent
