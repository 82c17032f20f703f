// SPDX-License-Identifier: Apache-2.0
#include "target/version.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace orch::target {
namespace {

TEST(VersionTest, ComeInTheOrderOfPuppetsVersioncmp) {
  const std::vector<std::string> ordered = {
      "",       "1",      "1-2",  "1.0",        "1.0-1", "1.0-rc1", "1.0.0", "1.0.9",
      "1.0.10", "1.0a",   "6.10", "6.10-1.el6", "7",     "7.9",     "7.9.0", "7.9.2009",
      "7.10",   "7.23.0", "10",   "10.a",       "10a",   "a",       "b"};
  for (size_t i = 0; i < ordered.size(); ++i) {
    for (size_t j = 0; j < ordered.size(); ++j) {
      const int order = CompareVersions(ordered[i], ordered[j]);
      EXPECT_EQ(order < 0, i < j) << ordered[i] << " " << ordered[j];
      EXPECT_EQ(order > 0, i > j) << ordered[i] << " " << ordered[j];
    }
  }
}

TEST(VersionTest, NumbersHaveNoBound) {
  EXPECT_LT(CompareVersions("1.99999999999999999998", "1.99999999999999999999"), 0);
  EXPECT_EQ(CompareVersions("7.09", "7.9"), 0);
  EXPECT_EQ(CompareVersions("0", "00"), 0);
  EXPECT_EQ(CompareVersions("1.0-RC1", "1.0-rc1"), 0);
  EXPECT_GT(CompareVersions("5.10.0-21-amd64", "5.10.0-21"), 0);
}

}  // namespace
}  // namespace orch::target
