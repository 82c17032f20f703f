// SPDX-License-Identifier: Apache-2.0
#include "test/sim/simulation.h"

#include <gtest/gtest.h>

#include "absl/strings/str_join.h"
#include "base/log.h"
#include "base/plants.h"
#include "test/testing/test_ca.h"

namespace orch::sim {
namespace {

constexpr uint64_t kSeeds = 60;
// A broken rule is found within so many.
constexpr uint64_t kSeedsPlanted = 500;

class SimulationTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    base::SetUpLog("sim", base::LogLevel::kError, base::LogFormat::kText);
    fleet_ = new Fleet(MakeFleet(orch::testing::NewTestDirectory()));
  }
  // The first seed whose story breaks a rule tells it again, word by word.
  static void ExpectFound(base::Plants plants) {
    for (uint64_t seed = 1; seed <= kSeedsPlanted; ++seed) {
      const Verdict verdict = Simulate(*fleet_, seed, plants);
      if (verdict.violation.empty()) continue;
      EXPECT_EQ(Simulate(*fleet_, seed, plants).story, verdict.story) << "seed " << seed;
      return;
    }
    ADD_FAILURE() << "not found";
  }
  static const Fleet* fleet_;
};
const Fleet* SimulationTest::fleet_ = nullptr;

TEST_F(SimulationTest, EveryRuleHolds) {
  size_t starts = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Verdict verdict = Simulate(*fleet_, seed, {});
    ASSERT_EQ(verdict.violation, "") << "seed " << seed << "\n"
                                     << absl::StrJoin(verdict.story, "\n");
    starts += verdict.starts;
  }
  EXPECT_GT(starts, 10 * kSeeds) << "hardly anything happens";
}

TEST_F(SimulationTest, ASeedTellsOneStory) {
  for (uint64_t seed : {3, 11, 29}) {
    EXPECT_EQ(Simulate(*fleet_, seed, {}).story, Simulate(*fleet_, seed, {}).story);
  }
}

TEST_F(SimulationTest, FindsAMissingJournal) { ExpectFound({.no_journal = true}); }
TEST_F(SimulationTest, FindsUncomparedDigests) { ExpectFound({.digest_not_compared = true}); }
TEST_F(SimulationTest, FindsOverwrittenOutcomes) { ExpectFound({.late_reply_overwrites = true}); }
TEST_F(SimulationTest, FindsExpiredStarts) { ExpectFound({.expired_accepted = true}); }
TEST_F(SimulationTest, FindsAGapInALog) { ExpectFound({.sequence_gap = true}); }

}  // namespace
}  // namespace orch::sim
