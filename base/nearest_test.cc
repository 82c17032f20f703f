// SPDX-License-Identifier: Apache-2.0
#include "base/nearest.h"

#include <gtest/gtest.h>

namespace orch::base {
namespace {

TEST(Nearest, DistanceCountsSwapsAsOneStep) {
  EXPECT_EQ(EditDistance("", ""), 0u);
  EXPECT_EQ(EditDistance("", "abc"), 3u);
  EXPECT_EQ(EditDistance("abc", ""), 3u);
  EXPECT_EQ(EditDistance("ping", "ping"), 0u);
  EXPECT_EQ(EditDistance("pnig", "ping"), 1u);
  EXPECT_EQ(EditDistance("nop", "noop"), 1u);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
}

TEST(Nearest, IsTheNearestOrTheShortestThatBeginsSo) {
  const std::vector<std::string> known = {"ping", "find", "facts", "inventory", "run"};
  EXPECT_EQ(Nearest("pnig", known), "ping");
  EXPECT_EQ(Nearest("rnu", known), "run");
  EXPECT_EQ(Nearest("fcat", known), "facts");
  EXPECT_EQ(Nearest("inv", known), "inventory");
  EXPECT_EQ(Nearest("zzz", known), "");
  EXPECT_EQ(Nearest("i", known), "");
  EXPECT_EQ(Nearest("", known), "");
  EXPECT_EQ(Nearest(std::string(1000, 'i'), known), "");
  EXPECT_EQ(Nearest("no-i", {"no-inputs", "no-input"}), "no-input");
}

}  // namespace
}  // namespace orch::base
