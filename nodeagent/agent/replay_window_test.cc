// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/agent/replay_window.h"

#include <gtest/gtest.h>

namespace orch::nodeagent {
namespace {

using Added = ReplayWindow::Added;
const absl::Time kBegin = absl::FromUnixSeconds(1'800'000'000);

TEST(ReplayWindow, KnowsWhatCameBeforeUntilItsEnd) {
  ReplayWindow window;
  EXPECT_EQ(window.Add("a", kBegin + absl::Seconds(60), kBegin), Added::kNew);
  EXPECT_EQ(window.Add("a", kBegin + absl::Seconds(60), kBegin + absl::Seconds(59)), Added::kSeen);
  EXPECT_TRUE(window.Contains("a", kBegin + absl::Seconds(59)));
  EXPECT_FALSE(window.Contains("a", kBegin + absl::Seconds(60)));
  EXPECT_EQ(window.Add("a", kBegin + absl::Seconds(120), kBegin + absl::Seconds(60)), Added::kNew);
}

TEST(ReplayWindow, SeenAgainDoesNotLiveLonger) {
  ReplayWindow window;
  window.Add("a", kBegin + absl::Seconds(10), kBegin);
  window.Add("a", kBegin + absl::Seconds(900), kBegin);
  EXPECT_FALSE(window.Contains("a", kBegin + absl::Seconds(10)));
}

TEST(ReplayWindow, RefusesTheNewRatherThanForgetTheLive) {
  ReplayWindow window(2);
  EXPECT_EQ(window.Add("a", kBegin + absl::Seconds(10), kBegin), Added::kNew);
  EXPECT_EQ(window.Add("b", kBegin + absl::Seconds(20), kBegin), Added::kNew);
  EXPECT_EQ(window.Add("c", kBegin + absl::Seconds(20), kBegin), Added::kFull);
  EXPECT_EQ(window.Add("a", kBegin + absl::Seconds(10), kBegin), Added::kSeen);
  EXPECT_EQ(window.Add("c", kBegin + absl::Seconds(20), kBegin + absl::Seconds(10)), Added::kNew);
  EXPECT_EQ(window.size(), 2u);
}

TEST(ReplayWindow, ForgetsManyWithOneEnd) {
  ReplayWindow window;
  for (int i = 0; i < 1000; ++i) window.Add(std::to_string(i), kBegin + absl::Seconds(1), kBegin);
  EXPECT_EQ(window.size(), 1000u);
  window.Add("next", kBegin + absl::Seconds(9), kBegin + absl::Seconds(1));
  EXPECT_EQ(window.size(), 1u);
}

}  // namespace
}  // namespace orch::nodeagent
