// SPDX-License-Identifier: Apache-2.0
#include "controller/job/rollout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace orch::controller {
namespace {

using absl::Seconds;

std::vector<std::string> Names(int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back("n" + std::to_string(1000 + i));
  return names;
}

TEST(ChooseNodes, FirstByNameWithoutASeed) {
  EXPECT_EQ(ChooseNodes(Names(5), 2, ""), Names(2));
  EXPECT_EQ(ChooseNodes(Names(2), 5, "x"), Names(2));
}

TEST(ChooseNodes, ASeedIsRepeatableAndSorted) {
  auto one = ChooseNodes(Names(100), 10, "tuesday");
  EXPECT_EQ(one, ChooseNodes(Names(100), 10, "tuesday"));
  EXPECT_NE(one, ChooseNodes(Names(100), 10, "wednesday"));
  EXPECT_NE(one, Names(10));
  EXPECT_TRUE(std::is_sorted(one.begin(), one.end()));
  EXPECT_EQ(std::set<std::string>(one.begin(), one.end()).size(), 10u);
}

TEST(ChooseNodes, ASeedPrefersNobody) {
  std::vector<int> hits(50);
  const auto names = Names(50);
  for (int seed = 0; seed < 2000; ++seed) {
    for (const std::string& node : ChooseNodes(names, 5, std::to_string(seed))) {
      ++hits[std::find(names.begin(), names.end(), node) - names.begin()];
    }
  }
  for (int h : hits) EXPECT_NEAR(h, 200, 75);
}

TEST(PlanRollout, Defaults) {
  orch::v1::Rollout rollout;
  auto plan = PlanRollout(rollout, 100, 8);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->concurrency, 8u);
  EXPECT_EQ(plan->max_failures, 0u);
  rollout.set_concurrency(3);
  EXPECT_EQ(PlanRollout(rollout, 100, 8)->concurrency, 3u);
  rollout.set_unlimited(true);  // in its place
  EXPECT_EQ(PlanRollout(rollout, 100, 8)->concurrency, 0u);
}

TEST(PlanRollout, RefusesByName) {
  orch::v1::Rollout rollout;
  rollout.mutable_max_failures();
  EXPECT_NE(std::string(PlanRollout(rollout, 9, 0).status().message()).find("max_failures"),
            std::string::npos);
  rollout.clear_max_failures();
  rollout.mutable_batch_sleep()->set_seconds(5);
  EXPECT_FALSE(PlanRollout(rollout, 9, 0).ok());
  rollout.mutable_batch_size()->set_percent(50);
  EXPECT_EQ(PlanRollout(rollout, 9, 0)->batch_size, 4u);
  rollout.mutable_batch_sleep()->set_seconds(-5);
  EXPECT_FALSE(PlanRollout(rollout, 9, 0).ok());
}

TEST(PlanRollout, ACanaryMayBeAPercentage) {
  orch::v1::Rollout rollout;
  rollout.mutable_canary()->set_percent(10);
  EXPECT_EQ(PlanRollout(rollout, 300, 8)->canary, 30u);
  EXPECT_EQ(PlanRollout(rollout, 3, 8)->canary, 1u);
  rollout.mutable_canary_wait()->set_seconds(60);
  EXPECT_EQ(PlanRollout(rollout, 3, 8)->canary_wait, Seconds(60));
  rollout.clear_canary();
  EXPECT_NE(std::string(PlanRollout(rollout, 3, 8).status().message()).find("canary_wait"),
            std::string::npos);
}

TEST(RolloutWindow, WaitsAfterTheCanary) {
  RolloutWindow window({.canary = 2, .canary_wait = Seconds(60)});
  window.OnStarted(2);
  window.OnEnded(StartEnd::kSucceeded, Seconds(5));
  EXPECT_EQ(window.NextDeadline(8), std::nullopt);
  window.OnEnded(StartEnd::kSucceeded, Seconds(10));
  EXPECT_EQ(window.Startable(8, Seconds(10)), 0u);
  EXPECT_EQ(window.Startable(8, Seconds(69)), 0u);
  EXPECT_EQ(window.NextDeadline(8), Seconds(70));
  EXPECT_EQ(window.NextDeadline(0), std::nullopt) << "nobody waits for it";
  EXPECT_EQ(window.Startable(8, Seconds(70)), 8u);
  window.OnStarted(8);
  window.OnEnded(StartEnd::kSucceeded, Seconds(80));
  EXPECT_EQ(window.NextDeadline(3), std::nullopt) << "it was waited for once";
}

TEST(RolloutWindow, SlidesAsNodesEnd) {
  RolloutWindow window({.concurrency = 3});
  EXPECT_EQ(window.Startable(10, Seconds(0)), 3u);
  window.OnStarted(3);
  EXPECT_EQ(window.Startable(7, Seconds(0)), 0u);
  window.OnEnded(StartEnd::kFailed, Seconds(0));
  EXPECT_EQ(window.Startable(7, Seconds(1)), 1u);
  window.OnStarted(1);
  window.OnEnded(StartEnd::kSucceeded, Seconds(0));
  window.OnEnded(StartEnd::kSucceeded, Seconds(0));
  EXPECT_EQ(window.Startable(6, Seconds(2)), 2u);
  EXPECT_EQ(window.Startable(1, Seconds(2)), 1u);
  EXPECT_FALSE(window.NextDeadline(1).has_value());
}

TEST(RolloutWindow, NoWindowStartsAll) {
  RolloutWindow window;
  EXPECT_EQ(window.Startable(10000, Seconds(0)), 10000u);
}

TEST(RolloutWindow, CanariesHoldTheOthersBack) {
  RolloutWindow window({.canary = 2, .concurrency = 5});
  EXPECT_EQ(window.Startable(10, Seconds(0)), 2u);
  window.OnStarted(2);
  EXPECT_EQ(window.Startable(8, Seconds(0)), 0u);
  window.OnEnded(StartEnd::kSucceeded, Seconds(0));
  EXPECT_EQ(window.Startable(8, Seconds(0)), 0u);
  window.OnEnded(StartEnd::kSucceeded, Seconds(0));
  EXPECT_EQ(window.Startable(8, Seconds(0)), 5u);
  window.OnStarted(5);
  window.OnEnded(StartEnd::kFailed, Seconds(0));
  EXPECT_EQ(window.StopReason(), "");
}

TEST(RolloutWindow, AFailedCanaryStops) {
  RolloutWindow window({.canary = 2});
  window.OnStarted(2);
  window.OnEnded(StartEnd::kSucceeded, Seconds(0));
  window.OnEnded(StartEnd::kFailed, Seconds(0));
  EXPECT_EQ(window.StopReason(), "canary: 1 of 2 did not succeed");
  EXPECT_EQ(window.Startable(8, Seconds(0)), 0u);
}

TEST(RolloutWindow, AnotherNodeTakesThePlaceOfACanaryThatDeclined) {
  RolloutWindow window({.canary = 2});
  window.OnStarted(2);
  window.OnEnded(StartEnd::kSucceeded, Seconds(0));
  window.OnEnded(StartEnd::kDeclined, Seconds(0));
  EXPECT_EQ(window.StopReason(), "");
  EXPECT_EQ(window.Startable(8, Seconds(0)), 1u);
  window.OnStarted(1);
  EXPECT_EQ(window.Startable(7, Seconds(0)), 0u);
  window.OnEnded(StartEnd::kDeclined, Seconds(0));
  EXPECT_EQ(window.Startable(7, Seconds(0)), 1u);
  window.OnStarted(1);
  window.OnEnded(StartEnd::kSucceeded, Seconds(0));
  EXPECT_EQ(window.Startable(6, Seconds(0)), 6u);
}

TEST(RolloutWindow, CanaryNarrowerThanTheWindowAndWider) {
  RolloutWindow window({.canary = 5, .concurrency = 2});
  EXPECT_EQ(window.Startable(10, Seconds(0)), 2u);
  window.OnStarted(2);
  window.OnEnded(StartEnd::kSucceeded, Seconds(0));
  window.OnEnded(StartEnd::kSucceeded, Seconds(0));
  EXPECT_EQ(window.Startable(8, Seconds(0)), 2u);
}

TEST(RolloutWindow, StopsAtMaxFailuresButNotAtRefusals) {
  RolloutWindow window({.concurrency = 4, .max_failures = 2});
  window.OnStarted(4);
  window.OnEnded(StartEnd::kDeclined, Seconds(0));
  window.OnEnded(StartEnd::kDeclined, Seconds(0));
  window.OnEnded(StartEnd::kFailed, Seconds(0));
  EXPECT_EQ(window.Startable(5, Seconds(0)), 3u);
  window.OnEnded(StartEnd::kFailed, Seconds(0));
  EXPECT_EQ(window.Startable(5, Seconds(0)), 0u);
  EXPECT_EQ(window.StopReason(), "2 nodes failed (max_failures 2)");
}

TEST(RolloutWindow, ABatchEndsAndTheSleepPassesBeforeTheNextBegins) {
  RolloutWindow window({.batch_size = 2, .batch_sleep = Seconds(60)});
  EXPECT_EQ(window.Startable(5, Seconds(0)), 2u);
  window.OnStarted(1);
  EXPECT_EQ(window.Startable(4, Seconds(0)), 1u);
  window.OnStarted(1);
  window.OnEnded(StartEnd::kSucceeded, Seconds(10));
  EXPECT_EQ(window.Startable(3, Seconds(1000)), 0u) << "one of the batch is under way";
  EXPECT_FALSE(window.NextDeadline(3).has_value());
  window.OnEnded(StartEnd::kSucceeded, Seconds(1000));
  EXPECT_EQ(window.Startable(3, Seconds(1059)), 0u);
  EXPECT_EQ(window.NextDeadline(3), Seconds(1060));
  EXPECT_EQ(window.Startable(3, Seconds(1060)), 2u);
}

TEST(RolloutWindow, WithoutASleepABatchEndsAllTheSame) {
  RolloutWindow window({.batch_size = 1, .max_failures = 1});
  EXPECT_EQ(window.Startable(5, Seconds(0)), 1u);
  window.OnStarted(1);
  EXPECT_EQ(window.Startable(4, Seconds(0)), 0u);
  window.OnEnded(StartEnd::kSucceeded, Seconds(5));
  EXPECT_FALSE(window.NextDeadline(4).has_value());
  EXPECT_EQ(window.Startable(4, Seconds(5)), 1u);
  window.OnStarted(1);
  window.OnEnded(StartEnd::kFailed, Seconds(6));
  EXPECT_EQ(window.Startable(3, Seconds(6)), 0u);
  EXPECT_EQ(window.StopReason(), "1 node failed (max_failures 1)");
}

TEST(StartEndOf, SortsOutcomes) {
  EXPECT_EQ(StartEndOf(orch::v1::NODE_STATE_SUCCEEDED), StartEnd::kSucceeded);
  EXPECT_EQ(StartEndOf(orch::v1::NODE_STATE_REFUSED), StartEnd::kDeclined);
  EXPECT_EQ(StartEndOf(orch::v1::NODE_STATE_CANCELLED), StartEnd::kDeclined);
  for (auto state : {orch::v1::NODE_STATE_FAILED, orch::v1::NODE_STATE_TIMED_OUT,
                     orch::v1::NODE_STATE_LOST, orch::v1::NODE_STATE_NO_RESPONSE}) {
    EXPECT_EQ(StartEndOf(state), StartEnd::kFailed);
  }
}

TEST(RolloutWindow, ASleepThatIsOverChangesNothingWhileAnotherLimitHolds) {
  RolloutWindow window({.canary = 1, .batch_size = 1, .batch_sleep = Seconds(5)});
  window.OnStarted(1);
  EXPECT_FALSE(window.NextDeadline(3).has_value());
  window.OnEnded(StartEnd::kSucceeded, Seconds(0));
  EXPECT_EQ(window.NextDeadline(3), Seconds(5));
}

}  // namespace
}  // namespace orch::controller
