// SPDX-License-Identifier: Apache-2.0
#include "bus/client/backoff.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace orch::bus {
namespace {

constexpr Backoff::Times kTimes{absl::Seconds(10), absl::Milliseconds(500), absl::Seconds(30)};
// Of a controller, which is one of few.
constexpr Backoff::Times kUnspread{absl::ZeroDuration(), absl::Milliseconds(500),
                                   absl::Seconds(30)};
constexpr uint64_t kMost = ~uint64_t{0};
constexpr auto kPriority = Backoff::Order::kPriority;

Backoff Make(size_t brokers, bool spread_start = false) {
  return Backoff(brokers, kPriority, kTimes, spread_start, 1);
}
Backoff MakeUnspread(size_t brokers) { return Backoff(brokers, kPriority, kUnspread, false, 1); }

// The brokers of the next `count` attempts.
std::vector<size_t> Brokers(Backoff* backoff, int count) {
  std::vector<size_t> out;
  for (int i = 0; i < count; ++i) out.push_back(backoff->Next(0).broker);
  return out;
}

TEST(BackoffTest, TheFirstAttemptDoesNotWait) {
  Backoff backoff = Make(3);
  EXPECT_EQ(backoff.ceiling(), absl::ZeroDuration());
  const Backoff::Attempt first = backoff.Next(kMost);
  EXPECT_EQ(first.broker, 0u);
  EXPECT_EQ(first.wait, absl::ZeroDuration());
}

TEST(BackoffTest, AMachineThatStartsIsSpread) {
  Backoff backoff = Make(3, /*spread_start=*/true);
  EXPECT_EQ(backoff.ceiling(), kTimes.spread);
  const Backoff::Attempt first = backoff.Next(uint64_t{1} << 63);
  EXPECT_EQ(first.broker, 0u);
  EXPECT_EQ(first.wait, kTimes.spread / 2);
}

TEST(BackoffTest, ATurnIsEveryBrokerOnceWithoutAWait) {
  Backoff backoff = Make(3);
  EXPECT_EQ(Brokers(&backoff, 7), (std::vector<size_t>{0, 1, 2, 0, 1, 2, 0}));
  // Within a turn nothing is waited for, whatever the dice say.
  EXPECT_EQ(backoff.Next(kMost).wait, absl::ZeroDuration());
  EXPECT_EQ(backoff.Next(kMost).wait, absl::ZeroDuration());
  EXPECT_GT(backoff.Next(kMost).wait, absl::ZeroDuration());
}

std::vector<double> Ceilings(Backoff backoff, int turns) {
  std::vector<double> ceilings;
  for (int turn = 0; turn < turns; ++turn) {
    ceilings.push_back(absl::ToDoubleSeconds(backoff.ceiling()));
    backoff.Next(0);
    backoff.Next(0);
  }
  return ceilings;
}

TEST(BackoffTest, TheCeilingDoublesWithEachTurnUpToTheLongest) {
  EXPECT_EQ(Ceilings(MakeUnspread(2), 9), (std::vector<double>{0, 0.5, 1, 2, 4, 8, 16, 30, 30}));
}

TEST(BackoffTest, TheCeilingIsNeverBelowTheSpread) {
  EXPECT_EQ(Ceilings(Make(2), 9), (std::vector<double>{0, 10, 10, 10, 10, 10, 16, 30, 30}));
}

TEST(BackoffTest, TheJitterIsFull) {
  for (const auto& [random, share] :
       {std::pair<uint64_t, double>{0, 0}, {uint64_t{1} << 63, 0.5}, {uint64_t{3} << 62, 0.75}}) {
    Backoff backoff = MakeUnspread(1);
    backoff.Next(0);
    EXPECT_EQ(backoff.Next(random).wait, kTimes.min * share);
  }
  Backoff backoff = MakeUnspread(1);
  backoff.Next(0);
  const absl::Duration longest = backoff.Next(kMost).wait;
  EXPECT_LE(longest, kTimes.min);
  EXPECT_GT(longest, kTimes.min * 0.999);
}

TEST(BackoffTest, ALostBrokerComesLast) {
  Backoff backoff = Make(3);
  EXPECT_EQ(Brokers(&backoff, 2), (std::vector<size_t>{0, 1}));
  backoff.OnLost(absl::Hours(1));
  EXPECT_EQ(backoff.ceiling(), kTimes.spread);
  EXPECT_EQ(Brokers(&backoff, 3), (std::vector<size_t>{0, 2, 1}));
  // Where all failed, the list decides again.
  EXPECT_EQ(Brokers(&backoff, 3), (std::vector<size_t>{0, 1, 2}));
}

TEST(BackoffTest, AfterALossTheWaitIsTheSpreadAndOnlyOnce) {
  Backoff backoff = Make(2);
  backoff.Next(0);
  backoff.OnLost(absl::Hours(1));
  EXPECT_EQ(backoff.Next(uint64_t{1} << 63).wait, kTimes.spread / 2);
  EXPECT_EQ(backoff.Next(kMost).wait, absl::ZeroDuration()) << "the second broker of the turn";

  Backoff unspread = MakeUnspread(2);
  unspread.Next(0);
  unspread.OnLost(absl::Hours(1));
  EXPECT_EQ(unspread.Next(kMost).wait, absl::ZeroDuration());
  EXPECT_EQ(unspread.Next(kMost).wait, absl::ZeroDuration());
  EXPECT_GT(unspread.Next(kMost).wait, absl::ZeroDuration());
}

TEST(BackoffTest, OnlyAStableConnectionStartsOver) {
  // Accepted and hung up at once, again and again: the waits go on growing.
  for (const size_t brokers : {1u, 2u}) {
    Backoff backoff = Make(brokers);
    std::vector<absl::Duration> ceilings;
    for (int i = 0; i < 8; ++i) {
      backoff.Next(0);
      backoff.OnLost(absl::Seconds(1));
      ceilings.push_back(backoff.ceiling());
    }
    EXPECT_EQ(ceilings.front(), kTimes.spread);
    EXPECT_EQ(ceilings.back(), kTimes.max);
    backoff.Next(0);
    backoff.OnLost(Backoff::kStableAfter);
    EXPECT_EQ(backoff.ceiling(), kTimes.spread);
    Brokers(&backoff, static_cast<int>(brokers));
    EXPECT_EQ(backoff.ceiling(), kTimes.spread) << "the back-off begins anew";
  }
}

TEST(BackoffTest, ARandomOrderIsEachProcessesOwnAndStays) {
  std::set<std::vector<size_t>> orders;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Backoff backoff(3, Backoff::Order::kRandom, kTimes, false, seed);
    const std::vector<size_t> order = Brokers(&backoff, 3);
    EXPECT_EQ(std::set<size_t>(order.begin(), order.end()).size(), 3u);
    EXPECT_EQ(Brokers(&backoff, 3), order);
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 6u) << "every order occurs";
}

TEST(BackoffTest, YearsOfFailuresOverflowNothing) {
  Backoff backoff = Make(1);
  for (int i = 0; i < 100'000; ++i) {
    const Backoff::Attempt attempt = backoff.Next(kMost);
    ASSERT_GE(attempt.wait, absl::ZeroDuration());
    ASSERT_LE(attempt.wait, kTimes.max);
  }
  EXPECT_EQ(backoff.ceiling(), kTimes.max);
}

}  // namespace
}  // namespace orch::bus
