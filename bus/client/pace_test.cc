// SPDX-License-Identifier: Apache-2.0
#include "bus/client/pace.h"

#include <gtest/gtest.h>

namespace orch::bus {
namespace {

TEST(PaceTest, ABurstPassesAndAFloodIsHeldToItsRate) {
  base::FakeClock clock;
  Pace pace(100, clock.Read());
  EXPECT_EQ(pace.Take(100, 0, clock.Read()), absl::ZeroDuration());
  const absl::Duration begin = clock.Read().steady;
  uint64_t taken = 0;
  for (int i = 0; i < 1000; ++i) {
    clock.Advance(pace.Take(7, 0, clock.Read()));
    taken += 7;
  }
  const double seconds = absl::ToDoubleSeconds(clock.Read().steady - begin);
  EXPECT_NEAR(static_cast<double>(taken) / seconds, 100, 1);
}

TEST(PaceTest, BytesCountToo) {
  base::FakeClock clock;
  Pace pace(10, clock.Read());
  EXPECT_EQ(pace.Take(0, 10 * Pace::kBytesPerMessage, clock.Read()), absl::ZeroDuration());
  EXPECT_EQ(pace.Take(0, 5 * Pace::kBytesPerMessage, clock.Read()), absl::Milliseconds(500));
}

TEST(PaceTest, RestIsNotSavedUp) {
  base::FakeClock clock;
  Pace pace(10, clock.Read());
  clock.Advance(absl::Hours(1));
  EXPECT_EQ(pace.Take(20, 0, clock.Read()), absl::Seconds(1));
}

TEST(PaceTest, NoLimitNeverWaits) {
  base::FakeClock clock;
  Pace pace(0, clock.Read());
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(pace.Take(1'000'000, 1 << 30, clock.Read()), absl::ZeroDuration());
  }
}

}  // namespace
}  // namespace orch::bus
