// SPDX-License-Identifier: Apache-2.0
#include "controller/dispatcher/beacon.h"

#include <gtest/gtest.h>

#include "base/sha256.h"

namespace orch::controller {
namespace {

TEST(CrlParts, AreAsLargeAsAMessageMayBe) {
  const std::string der(2 * kCrlPartBytes + 5, 'c');
  const auto parts = CrlParts(der);
  ASSERT_EQ(parts.size(), 3u);
  std::string whole;
  for (size_t i = 0; i < parts.size(); ++i) {
    EXPECT_EQ(parts[i].part(), i);
    EXPECT_EQ(parts[i].parts(), 3u);
    EXPECT_EQ(parts[i].digest(), base::Sha256(der));
    whole += parts[i].data();
  }
  EXPECT_EQ(whole, der);
  EXPECT_EQ(parts[2].data().size(), 5u);
}

TEST(CrlParts, SmallOnesAreOnePart) {
  EXPECT_EQ(CrlParts("x").size(), 1u);
  EXPECT_TRUE(CrlParts("").empty());
}

TEST(CrlAsks, ANodeCausesOneCopyAMinuteToItself) {
  base::FakeClock clock;
  CrlAsks asks;
  for (int i = 0; i < 100; ++i) asks.OnBehind("web01", "main", clock.Read());
  asks.OnBehind("db01", "dmz", clock.Read());
  const std::map<std::string, std::vector<std::string>> both = {{"dmz", {"db01"}},
                                                                {"main", {"web01"}}};
  EXPECT_EQ(asks.Take(clock.Read()), both);
  EXPECT_TRUE(asks.Take(clock.Read()).empty());
  clock.Advance(kCrlPause - absl::Seconds(1));
  asks.OnBehind("web01", "main", clock.Read());
  EXPECT_TRUE(asks.Take(clock.Read()).empty());
  clock.Advance(absl::Seconds(1));
  asks.OnBehind("web01", "main", clock.Read());
  EXPECT_EQ(asks.Take(clock.Read()).size(), 1u);
}

}  // namespace
}  // namespace orch::controller
