// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/agent/replay_window.h"

#include <gtest/gtest.h>

namespace orch::nodeagent {
namespace {

using Added = ReplayWindow::Added;
const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

TEST(ReplayWindow, KnowsWhatCameBeforeUntilItsEnd) {
  ReplayWindow window;
  EXPECT_EQ(window.Add("a", kNow + absl::Seconds(60), kNow), Added::kNew);
  EXPECT_EQ(window.Add("a", kNow + absl::Seconds(60), kNow + absl::Seconds(59)), Added::kSeen);
  EXPECT_TRUE(window.Contains("a", kNow + absl::Seconds(59)));
  EXPECT_FALSE(window.Contains("a", kNow + absl::Seconds(60)));
  EXPECT_EQ(window.Add("a", kNow + absl::Seconds(120), kNow + absl::Seconds(60)), Added::kNew);
}

TEST(ReplayWindow, SeenAgainDoesNotLiveLonger) {
  ReplayWindow window;
  window.Add("a", kNow + absl::Seconds(10), kNow);
  window.Add("a", kNow + absl::Seconds(900), kNow);
  EXPECT_FALSE(window.Contains("a", kNow + absl::Seconds(10)));
}

TEST(ReplayWindow, RefusesTheNewRatherThanForgetTheLive) {
  ReplayWindow window(2);
  EXPECT_EQ(window.Add("a", kNow + absl::Seconds(10), kNow), Added::kNew);
  EXPECT_EQ(window.Add("b", kNow + absl::Seconds(20), kNow), Added::kNew);
  EXPECT_EQ(window.Add("c", kNow + absl::Seconds(20), kNow), Added::kFull);
  EXPECT_EQ(window.Add("a", kNow + absl::Seconds(10), kNow), Added::kSeen);
  EXPECT_EQ(window.Add("c", kNow + absl::Seconds(20), kNow + absl::Seconds(10)), Added::kNew);
  EXPECT_EQ(window.size(), 2u);
}

TEST(ReplayWindow, ForgetsManyWithOneEnd) {
  ReplayWindow window;
  for (int i = 0; i < 1000; ++i) window.Add(std::to_string(i), kNow + absl::Seconds(1), kNow);
  EXPECT_EQ(window.size(), 1000u);
  window.Add("next", kNow + absl::Seconds(9), kNow + absl::Seconds(1));
  EXPECT_EQ(window.size(), 1u);
}

}  // namespace
}  // namespace orch::nodeagent
