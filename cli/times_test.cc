// SPDX-License-Identifier: Apache-2.0
#include "cli/times.h"

#include <gtest/gtest.h>

namespace orch::cli {
namespace {

const absl::Time kNow =
    absl::FromCivil(absl::CivilSecond(2026, 3, 2, 12, 0, 0), absl::UTCTimeZone());

std::string Parsed(const std::string& text, absl::TimeZone zone = absl::UTCTimeZone()) {
  const auto time = ParseTime("--since", text, kNow, zone);
  if (!time.ok()) return std::string(time.status().message());
  return absl::FormatTime(absl::RFC3339_sec, *time, absl::UTCTimeZone());
}

TEST(ParseTimeTest, TakesWhatPeopleType) {
  EXPECT_EQ(Parsed("2026-03-01T02:00:00Z"), "2026-03-01T02:00:00+00:00");
  EXPECT_EQ(Parsed("2026-03-01T02:00:00.5+01:00"), "2026-03-01T01:00:00+00:00");
  EXPECT_EQ(Parsed("90m"), "2026-03-02T10:30:00+00:00");
  EXPECT_EQ(Parsed("2d"), "2026-02-28T12:00:00+00:00");
  const absl::TimeZone zone = absl::FixedTimeZone(3600);
  EXPECT_EQ(Parsed("2026-03-01", zone), "2026-02-28T23:00:00+00:00");
  EXPECT_EQ(Parsed("2026-03-01 02:00", zone), "2026-03-01T01:00:00+00:00");
  EXPECT_EQ(Parsed("2026-03-01T02:00:30", zone), "2026-03-01T01:00:30+00:00");
}

TEST(ParseTimeTest, RefusesTheRest) {
  for (const char* text : {"", "yesterday", "2026-13-01", "02:00", "-5m", "2026-03-01T25:00:00Z"}) {
    EXPECT_NE(Parsed(text).find("--since " + std::string(text) + ": expected how long ago"),
              std::string::npos)
        << Parsed(text);
  }
}

}  // namespace
}  // namespace orch::cli
