// SPDX-License-Identifier: Apache-2.0
#include "controller/admission/resolution.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_format.h"
#include "base/proto_time.h"

namespace orch::controller {
namespace {

class ResolutionTest : public testing::Test {
 protected:
  ResolutionTest() {
    job_.spec.mutable_action()->mutable_node_ping();
    job_.decision.otherwise = policy::Effect::kAllow;
    for (const char* name : {"db1", "web1", "web2"}) {
      orch::bus::v1::Presence presence;
      presence.set_protocol(1);
      presence.set_node(name);
      *presence.mutable_time() = ToTimestamp(now().wall);
      *presence.mutable_start_time() = ToTimestamp(now().wall);
      presence.set_sequence(1);
      presence.set_protocol_min(1);
      presence.set_protocol_max(1);
      presence.add_collectives("main");
      presence.set_facts_digest("f");
      presence.add_actions()->set_name(std::string(name) == "web2" ? "node.facts" : "node.ping");
      presence.set_actions_digest("a");
      presence.mutable_facts()->set_json(name[0] == 'd' ? R"({"role":"db"})" : R"({"role":"web"})");
      roster_.OnPresence(presence, now().wall + absl::Hours(1000), {}, now());
    }
  }
  base::Now now() const { return clock_.Read(); }
  Resolution Of() {
    auto target = target::Target::Compile(job_.spec.target());
    EXPECT_TRUE(target.ok()) << target.status();
    return Resolve(job_, *target, &roster_, now());
  }
  void Name(int count) {
    for (int i = 0; i < count; ++i) job_.spec.add_nodes(absl::StrFormat("x%05d", i));
  }
  using Names = std::vector<std::string>;

  base::FakeClock clock_;
  Roster roster_{absl::Minutes(15)};
  AdmittedJob job_;
};

TEST_F(ResolutionTest, WhoMatches) {
  job_.spec.mutable_target()->add_facts("role=web");
  const Resolution whom = Of();
  EXPECT_EQ(whom.audience, Audience::kMatching);
  EXPECT_EQ(whom.nodes.expected, (Names{"web1", "web2"}));
  EXPECT_FALSE(whom.roster_known) << "nobody was asked yet";
}

TEST_F(ResolutionTest, WhoMatchesAndIsGoneIsTold) {
  job_.spec.mutable_target()->add_facts("role=web");
  clock_.Advance(absl::Minutes(10));
  roster_.OnHeard("web1", now());
  clock_.Advance(absl::Minutes(10));
  roster_.OnTime(now());
  const Resolution whom = Of();
  EXPECT_EQ(whom.nodes.expected, Names{"web1"});
  EXPECT_EQ(whom.nodes.absent, Names{"web2"}) << "db1 is stale too, and does not match";
  const auto told = NotAsked(roster_, whom.nodes.absent);
  ASSERT_EQ(told.size(), 1);
  EXPECT_EQ(told[0].node(), "web2");
  EXPECT_EQ(told[0].reason(), "stale");
  EXPECT_TRUE(told[0].has_last_seen());
  job_.spec.add_nodes("web2");
  EXPECT_EQ(Of().nodes.expected, Names{"web2"}) << "who is named is asked";
  EXPECT_TRUE(Of().nodes.absent.empty());
}

TEST_F(ResolutionTest, WhoIsNamed) {
  for (const char* name : {"web1", "nobody", "web1"}) job_.spec.add_nodes(name);
  const Resolution whom = Of();
  EXPECT_EQ(whom.audience, Audience::kNamed);
  EXPECT_EQ(whom.names, (Names{"nobody", "web1"}));
  EXPECT_EQ(whom.nodes.expected, Names{"web1"});
  EXPECT_EQ(whom.nodes.unknown, Names{"nobody"});
  EXPECT_TRUE(whom.roster_known);
}

TEST_F(ResolutionTest, AQueryThatNamesNobodyMeansNobody) {
  job_.names.emplace();
  EXPECT_EQ(Of().audience, Audience::kNobody);
  EXPECT_EQ(Of().nodes.size(), 0u);
}

TEST_F(ResolutionTest, NamesThatNobodyHeardOfAreACount) {
  Name(49'000);
  job_.spec.add_nodes("web1");
  const Resolution whom = Of();
  EXPECT_EQ(whom.nodes.expected, Names{"web1"});
  EXPECT_EQ(whom.nodes.unknown.size(), kUnheardNamesMax);
  EXPECT_EQ(whom.unheard, 49'000 - kUnheardNamesMax);
  EXPECT_EQ(whom.names.size(), kUnheardNamesMax + 1) << "the others are not sent anything either";
}

TEST_F(ResolutionTest, WhatIsHiddenIsCutLikeWhatDoesNotExist) {
  job_.listing = true;
  job_.decision.otherwise = policy::Effect::kDeny;
  job_.decision.conditions = {
      {.effect = policy::Effect::kAllow, .where = "role=web", .rule = "p:1"}};
  Name(600);
  for (const char* name : {"db1", "web1"}) job_.spec.add_nodes(name);
  const Resolution whom = Of();
  EXPECT_EQ(whom.nodes.expected, Names{"web1"});
  EXPECT_TRUE(whom.nodes.unknown.empty());
  EXPECT_EQ(whom.nodes.maybe.size(), kUnheardNamesMax);
  EXPECT_EQ(whom.unheard, 601 - kUnheardNamesMax) << "db1 is one of them";
  EXPECT_TRUE(std::binary_search(whom.names.begin(), whom.names.end(), "web1"));
}

TEST_F(ResolutionTest, OnlyChangesAndLimitsNeedADiscovery) {
  EXPECT_TRUE(NeedsDiscovery(job_, /*mutating=*/true, Of()));
  EXPECT_FALSE(NeedsDiscovery(job_, false, Of()));
  job_.spec.mutable_rollout()->mutable_limit()->set_count(1);
  EXPECT_TRUE(NeedsDiscovery(job_, false, Of())) << "who is there is not known";
  job_.spec.add_nodes("web1");
  EXPECT_FALSE(NeedsDiscovery(job_, false, Of()));
}

TEST_F(ResolutionTest, WhoCantOrMayNotIsSaid) {
  Names nodes = {"db1", "web1", "web2", "stranger"};
  std::vector<JobNodeStart> ended;
  SplitUnable(roster_, job_.spec.action(), &nodes, &ended);
  EXPECT_EQ(nodes, (Names{"db1", "web1", "stranger"}));
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].node, "web2");
  EXPECT_EQ(ended[0].reason, "unsupported");
  job_.decision.conditions = {{.effect = policy::Effect::kDeny, .where = "role=db", .rule = "p:2"}};
  SplitDenied(roster_, job_.decision, now(), &nodes, &ended);
  EXPECT_EQ(nodes, (Names{"web1", "stranger"})) << "what can't be told is the node's to decide";
  EXPECT_EQ(ended.back().state, orch::v1::NODE_STATE_DENIED);
  EXPECT_EQ(ended.back().message, "p:2");
}

}  // namespace
}  // namespace orch::controller
