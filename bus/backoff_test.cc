// SPDX-License-Identifier: Apache-2.0
#include "bus/backoff.h"

#include <gtest/gtest.h>

#include <vector>

namespace orch::bus {
namespace {

constexpr absl::Duration kMin = absl::Milliseconds(500);
constexpr absl::Duration kMax = absl::Seconds(30);
constexpr uint64_t kMost = ~uint64_t{0};

TEST(BackoffTest, TheFirstAttemptDoesNotWait) {
  Backoff backoff(3, kMin, kMax);
  const Backoff::Attempt first = backoff.Next(kMost);
  EXPECT_EQ(first.broker, 0u);
  EXPECT_EQ(first.wait, absl::ZeroDuration());
}

TEST(BackoffTest, BrokersComeInTurn) {
  Backoff backoff(3, kMin, kMax);
  std::vector<size_t> order;
  for (int i = 0; i < 7; ++i) order.push_back(backoff.Next(0).broker);
  EXPECT_EQ(order, (std::vector<size_t>{0, 1, 2, 0, 1, 2, 0}));
}

TEST(BackoffTest, TheCeilingDoublesAfterEachTurnUpToTheLongest) {
  Backoff backoff(2, kMin, kMax);
  backoff.Next(0);
  std::vector<double> ceilings;
  for (int i = 0; i < 16; ++i) {
    ceilings.push_back(absl::ToDoubleSeconds(backoff.ceiling()));
    backoff.Next(0);
  }
  EXPECT_EQ(ceilings,
            (std::vector<double>{0.5, 0.5, 1, 1, 2, 2, 4, 4, 8, 8, 16, 16, 30, 30, 30, 30}));
}

TEST(BackoffTest, TheJitterIsFull) {
  for (const auto& [random, share] :
       {std::pair<uint64_t, double>{0, 0}, {uint64_t{1} << 63, 0.5}, {uint64_t{3} << 62, 0.75}}) {
    Backoff backoff(1, kMin, kMax);
    backoff.Next(0);
    EXPECT_EQ(backoff.Next(random).wait, kMin * share);
  }
  Backoff backoff(1, kMin, kMax);
  backoff.Next(0);
  const absl::Duration longest = backoff.Next(kMost).wait;
  EXPECT_LE(longest, kMin);
  EXPECT_GT(longest, kMin * 0.999);
}

TEST(BackoffTest, OnlyAStableConnectionStartsOver) {
  Backoff backoff(1, kMin, kMax);
  for (int i = 0; i < 5; ++i) backoff.Next(0);
  EXPECT_EQ(backoff.ceiling(), kMin * 16);
  // Accepted and hung up at once, again and again: the waits go on growing.
  backoff.OnLost(absl::Seconds(1));
  EXPECT_EQ(backoff.ceiling(), kMin * 16);
  backoff.OnLost(Backoff::kStableAfter);
  EXPECT_EQ(backoff.ceiling(), kMin);
  EXPECT_LE(backoff.Next(kMost).wait, kMin);
}

TEST(BackoffTest, YearsOfFailuresOverflowNothing) {
  Backoff backoff(1, kMin, kMax);
  for (int i = 0; i < 100'000; ++i) {
    const Backoff::Attempt attempt = backoff.Next(kMost);
    ASSERT_GE(attempt.wait, absl::ZeroDuration());
    ASSERT_LE(attempt.wait, kMax);
  }
  EXPECT_EQ(backoff.ceiling(), kMax);
}

}  // namespace
}  // namespace orch::bus
