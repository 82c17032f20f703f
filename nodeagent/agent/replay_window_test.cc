// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/agent/replay_window.h"

#include <gtest/gtest.h>

namespace orch::nodeagent {
namespace {

using Added = ReplayWindow::Added;
const absl::Time kStart = absl::FromUnixSeconds(1'800'000'000);

TEST(ReplayWindow, KnowsWhatCameBeforeUntilItsEnd) {
  ReplayWindow window;
  EXPECT_EQ(window.Add("a", kStart + absl::Seconds(60), kStart), Added::kNew);
  EXPECT_EQ(window.Add("a", kStart + absl::Seconds(60), kStart + absl::Seconds(59)), Added::kSeen);
  EXPECT_TRUE(window.Contains("a", kStart + absl::Seconds(59)));
  EXPECT_FALSE(window.Contains("a", kStart + absl::Seconds(60)));
  EXPECT_EQ(window.Add("a", kStart + absl::Seconds(120), kStart + absl::Seconds(60)), Added::kNew);
}

TEST(ReplayWindow, SeenAgainDoesNotLiveLonger) {
  ReplayWindow window;
  window.Add("a", kStart + absl::Seconds(10), kStart);
  window.Add("a", kStart + absl::Seconds(900), kStart);
  EXPECT_FALSE(window.Contains("a", kStart + absl::Seconds(10)));
}

TEST(ReplayWindow, RefusesTheNewRatherThanForgetTheLive) {
  ReplayWindow window(2);
  EXPECT_EQ(window.Add("a", kStart + absl::Seconds(10), kStart), Added::kNew);
  EXPECT_EQ(window.Add("b", kStart + absl::Seconds(20), kStart), Added::kNew);
  EXPECT_EQ(window.Add("c", kStart + absl::Seconds(20), kStart), Added::kFull);
  EXPECT_EQ(window.Add("a", kStart + absl::Seconds(10), kStart), Added::kSeen);
  EXPECT_EQ(window.Add("c", kStart + absl::Seconds(20), kStart + absl::Seconds(10)), Added::kNew);
  EXPECT_EQ(window.size(), 2u);
}

TEST(ReplayWindow, ForgetsManyWithOneEnd) {
  ReplayWindow window;
  for (int i = 0; i < 1000; ++i) window.Add(std::to_string(i), kStart + absl::Seconds(1), kStart);
  EXPECT_EQ(window.size(), 1000u);
  window.Add("next", kStart + absl::Seconds(9), kStart + absl::Seconds(1));
  EXPECT_EQ(window.size(), 1u);
}

}  // namespace
}  // namespace orch::nodeagent
