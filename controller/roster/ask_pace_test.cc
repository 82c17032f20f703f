// SPDX-License-Identifier: Apache-2.0
#include "controller/roster/ask_pace.h"

#include <gtest/gtest.h>

namespace orch::controller {
namespace {

TEST(AskPaceTest, StartsCarefullyAndFollowsTheSizes) {
  AskPace pace;
  EXPECT_EQ(pace.at_once(), kFactsAskedMin) << "nothing is known of their sizes";
  for (int i = 0; i < 100; ++i) pace.OnFacts(2000);
  EXPECT_EQ(pace.at_once(), kFactsAskedMax) << "small ones: many at once";
  for (int i = 0; i < 100; ++i) pace.OnFacts(40'000);
  EXPECT_NEAR(static_cast<double>(pace.at_once()), kFactsAskedBytes / 40'000.0, 2);
  for (int i = 0; i < 100; ++i) pace.OnFacts(200 << 10);
  EXPECT_EQ(pace.at_once(), kFactsAskedMin) << "large ones: never less than that";
}

TEST(AskPaceTest, OneNodeAloneChangesLittle) {
  AskPace pace;
  for (int i = 0; i < 100; ++i) pace.OnFacts(10'000);
  const size_t before = pace.at_once();
  pace.OnFacts(0);
  EXPECT_GE(pace.at_once(), before);
  pace.OnFacts(200 << 10);
  EXPECT_GE(pace.at_once(), before / 3);
}

}  // namespace
}  // namespace orch::controller
