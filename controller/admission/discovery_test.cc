// SPDX-License-Identifier: Apache-2.0
#include "controller/admission/discovery.h"

#include <gtest/gtest.h>

namespace orch::controller {
namespace {

using Names = std::vector<std::string>;
constexpr DiscoveryOptions kKnown = {.roster_known = true};

class DiscoveryTest : public testing::Test {
 protected:
  void Willing(Discovery* discovery, const std::string& node) {
    orch::bus::v1::Discovered answer;
    answer.set_willing(true);
    discovery->OnDiscovered(node, answer, clock_.Read());
  }
  void Declines(Discovery* discovery, const std::string& node, orch::v1::NodeState state) {
    orch::bus::v1::Discovered answer;
    answer.set_state(state);
    answer.set_reason("because");
    discovery->OnDiscovered(node, answer, clock_.Read());
  }
  bool OverAfter(const Discovery& discovery, absl::Duration time) {
    clock_.Advance(time);
    return discovery.over(clock_.Read());
  }
  base::FakeClock clock_;
};

TEST_F(DiscoveryTest, OverWithTheLastAnswer) {
  Discovery discovery({.expected = {"a", "b"}, .maybe = {"m"}, .unknown = {}}, kKnown);
  discovery.OnPublished(clock_.Read());
  Willing(&discovery, "b");
  Declines(&discovery, "a", orch::v1::NODE_STATE_DENIED);
  EXPECT_FALSE(discovery.over(clock_.Read()));
  Willing(&discovery, "m");
  Willing(&discovery, "unexpected");
  EXPECT_TRUE(discovery.over(clock_.Read()));
  EXPECT_EQ(discovery.Willing(), (Names{"b", "m", "unexpected"}));
  ASSERT_EQ(discovery.Declined().size(), 1u);
  EXPECT_EQ(discovery.Declined()[0].state, orch::v1::NODE_STATE_DENIED);
  EXPECT_EQ(discovery.Declined()[0].reason, "because");
}

TEST_F(DiscoveryTest, TheSilentAreNamedMaybesAreCounted) {
  Discovery discovery({.expected = {"b", "a"}, .maybe = {"m"}, .unknown = {"u"}},
                      {.named_only = true, .roster_known = true});
  discovery.OnPublished(clock_.Read());
  EXPECT_FALSE(OverAfter(discovery, absl::Milliseconds(1999)));
  EXPECT_TRUE(OverAfter(discovery, absl::Milliseconds(1)));
  EXPECT_EQ(discovery.Silent(), (Names{"a", "b", "u"}));
  EXPECT_EQ(discovery.silent_maybes(), 1u);
}

TEST_F(DiscoveryTest, ThoseOnTheirWayBackAreWaitedFor) {
  Discovery discovery({.expected = {"a", "b", "c"}, .maybe = {"m"}, .unknown = {"u"}}, kKnown);
  discovery.OnPublished(clock_.Read());
  // Only who is waited for at all.
  discovery.ExpectBack({"b", "c", "m", "x"}, clock_.Read().steady + absl::Seconds(15));
  Willing(&discovery, "a");
  Willing(&discovery, "b");  // it was there after all
  EXPECT_FALSE(OverAfter(discovery, absl::Seconds(10)));
  EXPECT_TRUE(discovery.OnBack("c", clock_.Read()));
  EXPECT_FALSE(discovery.OnBack("b", clock_.Read())) << "it has answered";
  EXPECT_FALSE(discovery.OnBack("x", clock_.Read()));
  Willing(&discovery, "c");
  EXPECT_FALSE(OverAfter(discovery, absl::Milliseconds(4999)));
  EXPECT_TRUE(OverAfter(discovery, absl::Milliseconds(1)));
  EXPECT_EQ(discovery.Willing(), (Names{"a", "b", "c"}));
  EXPECT_EQ(discovery.Silent(), Names{"u"});
  EXPECT_TRUE(discovery.IsAway("m"));
  EXPECT_FALSE(discovery.IsAway("u"));
}

TEST_F(DiscoveryTest, WhoIsBackHasTimeToAnswerAndThenItIsOver) {
  Discovery discovery({.expected = {"a", "b"}, .maybe = {}, .unknown = {}}, kKnown);
  discovery.OnPublished(clock_.Read());
  discovery.ExpectBack({"b"}, clock_.Read().steady + absl::Seconds(15));
  Willing(&discovery, "a");
  clock_.Advance(absl::Seconds(7));
  EXPECT_TRUE(discovery.OnBack("b", clock_.Read()));
  EXPECT_FALSE(OverAfter(discovery, kDiscoverTimeout - absl::Milliseconds(1)));
  EXPECT_TRUE(OverAfter(discovery, absl::Milliseconds(1)));
  EXPECT_EQ(discovery.Silent(), Names{"b"});
  EXPECT_FALSE(discovery.IsAway("b"));
}

TEST_F(DiscoveryTest, NobodyExpectedEndsInSilence) {
  Discovery discovery({}, {});
  discovery.OnPublished(clock_.Read());
  EXPECT_FALSE(OverAfter(discovery, absl::Milliseconds(500)));
  Willing(&discovery, "a");
  EXPECT_FALSE(OverAfter(discovery, absl::Milliseconds(299)));
  EXPECT_TRUE(OverAfter(discovery, absl::Milliseconds(1)));
  EXPECT_EQ(discovery.Willing(), Names{"a"});
}

TEST_F(DiscoveryTest, NobodyAtAllTakesTheWholeTime) {
  Discovery discovery({}, {});
  EXPECT_FALSE(OverAfter(discovery, absl::Hours(1)));  // not published yet
  discovery.OnPublished(clock_.Read());
  EXPECT_FALSE(OverAfter(discovery, absl::Milliseconds(1999)));
  EXPECT_TRUE(OverAfter(discovery, absl::Milliseconds(1)));
}

TEST_F(DiscoveryTest, WithoutARosterTheExpectedAreNotAll) {
  Discovery discovery({.expected = {"a"}}, {});
  discovery.OnPublished(clock_.Read());
  Willing(&discovery, "x");
  EXPECT_FALSE(OverAfter(discovery, absl::Milliseconds(400)));
  Willing(&discovery, "a");
  EXPECT_FALSE(OverAfter(discovery, absl::Milliseconds(200)));
  Willing(&discovery, "y");
  EXPECT_FALSE(OverAfter(discovery, absl::Milliseconds(299)));
  EXPECT_TRUE(OverAfter(discovery, absl::Milliseconds(1)));
  EXPECT_EQ(discovery.Willing(), (Names{"a", "x", "y"}));
}

TEST_F(DiscoveryTest, TheTimeIsTheControllers) {
  Discovery discovery({.expected = {"a"}}, {.roster_known = true, .timeout = absl::Seconds(7)});
  discovery.OnPublished(clock_.Read());
  EXPECT_FALSE(OverAfter(discovery, absl::Milliseconds(6999)));
  EXPECT_TRUE(OverAfter(discovery, absl::Milliseconds(1)));
}

TEST_F(DiscoveryTest, NobodyAtAllIsBelievedSoonWhereTheRosterIsKnown) {
  Discovery discovery({}, kKnown);
  discovery.OnPublished(clock_.Read());
  EXPECT_FALSE(OverAfter(discovery, absl::Milliseconds(299)));
  EXPECT_TRUE(OverAfter(discovery, absl::Milliseconds(1)));
}

TEST_F(DiscoveryTest, ABusyFleetIsNotCalledDead) {
  Resolved resolved;
  for (int i = 0; i < 100; ++i) resolved.expected.push_back("n" + std::to_string(i));
  Discovery discovery(resolved, kKnown);
  discovery.OnPublished(clock_.Read());
  for (int i = 0; i < 49; ++i) {
    EXPECT_FALSE(OverAfter(discovery, absl::Milliseconds(200))) << i;
    Willing(&discovery, "n" + std::to_string(i));
  }
  EXPECT_TRUE(OverAfter(discovery, absl::Milliseconds(200)));
}

TEST_F(DiscoveryTest, StrangersAreIgnoredWhereNodesAreNamed) {
  Discovery discovery({.expected = {"a"}, .maybe = {}, .unknown = {}},
                      {.named_only = true, .roster_known = true});
  Willing(&discovery, "x");
  Willing(&discovery, "a");
  EXPECT_EQ(discovery.Willing(), Names{"a"});
}

TEST_F(DiscoveryTest, TheFirstAnswerCountsAndNonsenseIsARefusal) {
  Discovery discovery({.expected = {"a"}, .maybe = {}, .unknown = {}}, kKnown);
  Declines(&discovery, "a", orch::v1::NODE_STATE_SUCCEEDED);
  Willing(&discovery, "a");
  EXPECT_TRUE(discovery.Willing().empty());
  EXPECT_EQ(discovery.Declined()[0].state, orch::v1::NODE_STATE_REFUSED);
}

}  // namespace
}  // namespace orch::controller
