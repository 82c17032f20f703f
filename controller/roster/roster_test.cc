// SPDX-License-Identifier: Apache-2.0
#include "controller/roster/roster.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "base/gzip.h"
#include "base/proto_time.h"

namespace orch::controller {
namespace {

using absl::Minutes;
using absl::Seconds;
using orch::bus::v1::Presence;

constexpr absl::Duration kStale = Minutes(15);

class RosterTest : public testing::Test {
 protected:
  base::Now now() const { return clock_.Read(); }
  Presence Of(const std::string& node, uint64_t sequence = 1) {
    Presence presence;
    presence.set_protocol(1);
    presence.set_node(node);
    *presence.mutable_time() = ToTimestamp(now().wall);
    *presence.mutable_start_time() = ToTimestamp(start_);
    presence.set_sequence(sequence);
    presence.set_protocol_min(1);
    presence.set_protocol_max(1);
    presence.add_collectives("main");
    presence.set_actions_digest("digest");
    presence.set_facts_digest("f1");
    return presence;
  }
  Presence Whole(const std::string& node, const std::string& facts, uint64_t sequence = 1) {
    Presence presence = Of(node, sequence);
    for (const char* name : {"node.ping", "puppet.run"}) presence.add_actions()->set_name(name);
    presence.mutable_facts()->set_json(facts);
    presence.mutable_facts()->add_classes("nginx");
    return presence;
  }
  Roster::Heard Hear(const Presence& presence) {
    return roster_.OnPresence(presence, now().wall + absl::Hours(1000), {}, now());
  }
  Resolved Resolve(const orch::v1::Target& proto, const std::vector<std::string>& names = {}) {
    auto target = target::Target::Compile(proto);
    EXPECT_TRUE(target.ok()) << target.status();
    return roster_.Resolve(*target, proto, names, now());
  }
  Resolved ResolveFact(const std::string& fact) {
    orch::v1::Target proto;
    proto.add_facts(fact);
    return Resolve(proto);
  }
  Resolved ResolveSelect(const std::string& expression) {
    orch::v1::Target proto;
    proto.add_select(expression);
    return Resolve(proto);
  }
  using Names = std::vector<std::string>;

  base::FakeClock clock_;
  absl::Time start_ = clock_.Read().wall - absl::Hours(1);
  Roster roster_{kStale};
};

TEST_F(RosterTest, FactsThatCamePackedAreFacts) {
  orch::bus::v1::Presence presence = Whole("large", "");
  presence.mutable_facts()->clear_json();
  presence.mutable_facts()->set_json_gzip(
      base::Gzip("{\"role\":\"web\",\"much\":\"" + std::string(500'000, 'x') + "\"}"));
  Hear(presence);
  EXPECT_EQ(roster_.Find("large")->facts()->at("role"), "web");
  // What a hostile node packs is unpacked to a bound.
  presence = Whole("hostile", "");
  presence.mutable_facts()->clear_json();
  presence.mutable_facts()->set_json_gzip(
      base::Gzip("{\"a\":\"" + std::string(RosterEntry::kFactsBytesMax, 'x') + "\"}"));
  Hear(presence);
  EXPECT_TRUE(roster_.Find("hostile")->facts()->empty());
}

TEST_F(RosterTest, FactsNestedTooDeeplyAreNone) {
  const auto nested = [](int levels) {
    return "{\"a\":" + std::string(levels, '[') + std::string(levels, ']') + "}";
  };
  Hear(Whole("good", nested(RosterEntry::kFactsDepthMax)));
  EXPECT_TRUE(roster_.Find("good")->facts()->contains("a"));
  Hear(Whole("deep", nested(RosterEntry::kFactsDepthMax + 1)));
  Hear(Whole("hostile", nested(100'000)));
  Hear(Whole("torn", "{\"a\":" + std::string(100'000, '[')));
  for (const char* node : {"deep", "hostile", "torn"}) {
    EXPECT_TRUE(roster_.Find(node)->facts()->empty()) << node;
    EXPECT_TRUE(roster_.Find(node)->ToNode(true).facts().fields().empty()) << node;
  }
}

TEST_F(RosterTest, KnowsWhoIsThere) {
  auto heard = Hear(Of("b"));
  EXPECT_TRUE(heard.fresh && heard.back && heard.wants_details);
  Hear(Of("a"));
  EXPECT_EQ(Resolve({}).expected, (Names{"a", "b"}));
  EXPECT_EQ(roster_.counts().present, 2u);
  EXPECT_EQ(roster_.present("main"), 2u);
  EXPECT_EQ(roster_.present("other"), 0u);
}

TEST_F(RosterTest, OlderAndRepeatedPresencesAreIgnored) {
  Hear(Of("a", 5));
  EXPECT_FALSE(Hear(Of("a", 5)).fresh);
  EXPECT_FALSE(Hear(Of("a", 4)).fresh);
  EXPECT_TRUE(Hear(Of("a", 6)).fresh);
  EXPECT_FALSE(Hear(Of("a", 6)).back);
  start_ += Seconds(5);
  auto heard = Hear(Of("a", 1));
  EXPECT_TRUE(heard.fresh && heard.back);
  start_ -= Seconds(9);
  EXPECT_FALSE(Hear(Of("a", 99)).fresh);
}

TEST_F(RosterTest, AClockPutBackIsBelievedAfterSilenceAReplayIsNot) {
  Hear(Of("a", 5));
  const Presence replayed = Of("a", 5);
  clock_.Advance(kStale);
  roster_.OnTime(now());
  EXPECT_EQ(roster_.Find("a")->state, orch::v1::ROSTER_STATE_STALE);
  EXPECT_FALSE(Hear(replayed).fresh);
  start_ -= absl::Hours(2);
  Presence old = Of("a", 1);
  *old.mutable_time() = ToTimestamp(now().wall - absl::Hours(1));
  EXPECT_FALSE(Hear(old).fresh);
  EXPECT_TRUE(Hear(Of("a", 1)).fresh);
}

TEST_F(RosterTest, SilenceMakesStaleThenForgotten) {
  Hear(Of("a"));
  roster_.TakeChanged();
  clock_.Advance(kStale - Seconds(1));
  roster_.OnTime(now());
  EXPECT_TRUE(roster_.TakeChanged().empty());
  clock_.Advance(Seconds(1));
  roster_.OnTime(now());
  EXPECT_EQ(roster_.TakeChanged(), Names{"a"});
  EXPECT_TRUE(Resolve({}).expected.empty());
  EXPECT_EQ(roster_.counts().stale, 1u);
  roster_.OnHeard("a", now());
  EXPECT_EQ(Resolve({}).expected, Names{"a"});
  clock_.Advance(kForgetAfter);
  roster_.TakeUnstored(10);
  roster_.OnTime(now());
  EXPECT_EQ(roster_.size(), 0u);
  const auto rows = roster_.TakeUnstored(10);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_TRUE(rows[0].second.presence().empty());
}

TEST_F(RosterTest, GoodbyeIsBelieved) {
  Hear(Of("a", 1));
  Presence bye = Of("a", 2);
  bye.set_leaving(true);
  EXPECT_FALSE(Hear(bye).wants_details);
  EXPECT_TRUE(Resolve({}).expected.empty());
  roster_.OnHeard("a", now());  // a last reply that was under way
  EXPECT_EQ(roster_.counts().gone, 1u);
  EXPECT_TRUE(Hear(Of("a", 3)).back);
  EXPECT_EQ(roster_.counts().present, 1u);
}

TEST_F(RosterTest, DetailsAreWantedUntilTheyAreCurrent) {
  EXPECT_TRUE(Hear(Of("a", 1)).wants_details);
  EXPECT_FALSE(Hear(Whole("a", "{}", 2)).wants_details);
  EXPECT_FALSE(Hear(Of("a", 3)).wants_details);  // actions left out: the same digest
  EXPECT_EQ(roster_.Find("a")->action_names().size(), 2u);
  Presence changed = Of("a", 4);
  changed.set_facts_digest("f2");
  EXPECT_TRUE(Hear(changed).wants_details);
  EXPECT_TRUE(roster_.Find("a")->facts_known());  // the old ones serve meanwhile
  Presence upgraded = Of("a", 5);
  upgraded.set_actions_digest("other");
  EXPECT_TRUE(Hear(upgraded).wants_details);
  EXPECT_FALSE(roster_.Find("a")->actions_known());
}

TEST_F(RosterTest, ResolvesFacts) {
  Hear(Whole("deb", R"({"os":{"family":"Debian"},"cpus":4})"));
  Hear(Whole("rh", R"({"os":{"family":"RedHat"}})"));
  Hear(Of("new"));
  const Resolved resolved = ResolveFact("os.family=Debian");
  EXPECT_EQ(resolved.expected, Names{"deb"});
  EXPECT_EQ(resolved.maybe, Names{"new"});
  EXPECT_TRUE(resolved.unknown.empty());
  EXPECT_EQ(ResolveSelect("nginx and cpus>=4").expected, Names{"deb"});
}

TEST_F(RosterTest, BrokenFactsMatchNothing) {
  Hear(Whole("a", "{broken"));
  Hear(Whole("b", "[1]"));
  const Resolved resolved = ResolveFact("os.family=Debian");
  EXPECT_EQ(resolved.size(), 0u);
}

TEST_F(RosterTest, NamesAreTakenPresentOrNot) {
  Hear(Whole("a", R"({"role":"web"})"));
  Hear(Whole("b", R"({"role":"db"})"));
  Resolved resolved = Resolve({}, {"z", "a", "a"});
  EXPECT_EQ(resolved.expected, Names{"a"});
  EXPECT_EQ(resolved.unknown, Names{"z"});
  orch::v1::Target web;
  web.add_facts("role=web");
  resolved = Resolve(web, {"a", "b", "z"});
  EXPECT_EQ(resolved.expected, Names{"a"});
  EXPECT_EQ(resolved.unknown, Names{"z"});
  clock_.Advance(kStale);
  roster_.OnTime(now());
  EXPECT_EQ(Resolve({}, {"a"}).expected, Names{"a"});
  orch::v1::Target exact;
  exact.add_identities("a");
  exact.add_identities("y");
  EXPECT_EQ(Resolve(exact).expected, Names{"a"});
  EXPECT_EQ(Resolve(exact).unknown, Names{"y"});
  orch::v1::Target pattern;
  pattern.add_identities("/^a/");
  EXPECT_EQ(Resolve(pattern).size(), 0u);  // stale
}

TEST_F(RosterTest, PuppetStateAnswersWhileItIsFresh) {
  Presence on = Whole("on", "{}");
  on.mutable_puppet()->set_enabled(true);
  *on.mutable_puppet()->mutable_last_run() = ToTimestamp(now().wall - Minutes(10));
  Presence off = Whole("off", "{}");
  off.mutable_puppet()->set_enabled(false);
  Hear(on);
  Hear(off);
  EXPECT_EQ(ResolveSelect("puppet().enabled=true").expected, Names{"on"});
  EXPECT_EQ(ResolveSelect("puppet().enabled=true").maybe, Names{});
  EXPECT_EQ(ResolveSelect("puppet().since_lastrun>=600").expected, Names{"on"});
  EXPECT_EQ(ResolveSelect("puppet().since_lastrun>=600").maybe, Names{"off"});
  EXPECT_EQ(ResolveSelect("fstat('/etc/motd').present=true").maybe, (Names{"off", "on"}));
  // No node could answer: each says no.
  EXPECT_EQ(ResolveSelect("puppet().enabled=true or foo().x=1").size(), 0u);
  EXPECT_EQ(ResolveSelect("puppet().enabled=true or puppet().nosuch=1").size(), 0u);
}

TEST_F(RosterTest, CollectivesKeepApart) {
  Presence other = Of("o");
  other.clear_collectives();
  other.add_collectives("dmz");
  Hear(other);
  Hear(Of("m"));
  EXPECT_EQ(Resolve({}).expected, Names{"m"});
  orch::v1::Target dmz;
  dmz.set_collective("dmz");
  EXPECT_EQ(Resolve(dmz).expected, Names{"o"});
}

TEST_F(RosterTest, KnowsWhoCant) {
  Hear(Whole("a", "{}"));
  Presence future = Whole("f", "{}");
  future.set_protocol_min(7);
  future.set_protocol_max(9);
  Hear(future);
  Hear(Of("silent"));
  EXPECT_FALSE(roster_.WhyUnable("a", "puppet.run", "").has_value());
  EXPECT_EQ(*roster_.WhyUnable("a", "site.deploy", ""), "the node does not offer site.deploy");
  EXPECT_TRUE(roster_.WhyUnable("a", "puppet.run", "another digest").has_value());
  EXPECT_TRUE(roster_.WhyUnable("f", "puppet.run", "").has_value());
  EXPECT_FALSE(roster_.WhyUnable("silent", "puppet.run", "").has_value());
  EXPECT_FALSE(roster_.WhyUnable("nobody", "puppet.run", "").has_value());
}

TEST_F(RosterTest, ComesBackFromTheStore) {
  Hear(Whole("a", R"({"role":"web"})", 7));
  Presence bye = Whole("g", "{}", 2);
  bye.set_leaving(true);
  Hear(bye);
  const auto rows = roster_.TakeUnstored(10);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_TRUE(roster_.TakeUnstored(10).empty());
  Roster again(kStale);
  clock_.Advance(Minutes(5));
  for (const auto& [node, row] : rows) again.Restore(node, row, now());
  EXPECT_EQ(again.counts().present, 1u);
  EXPECT_EQ(again.counts().gone, 1u);
  EXPECT_TRUE(again.Settled(now()));
  EXPECT_TRUE(again.Find("a")->facts_current());
  EXPECT_FALSE(again.OnPresence(Of("a", 7), {}, {}, now()).fresh);
  clock_.Advance(Minutes(10));
  again.OnTime(now());
  EXPECT_EQ(again.counts().stale, 1u);
}

TEST_F(RosterTest, ShowsANode) {
  Presence presence = Whole("a", R"({"os":{"family":"Debian"}})");
  *presence.mutable_time() = ToTimestamp(now().wall + Seconds(42));
  Hear(presence);
  const orch::v1::Node node = roster_.Find("a")->ToNode(true);
  EXPECT_EQ(node.name(), "nodes/a");
  EXPECT_EQ(node.state(), orch::v1::ROSTER_STATE_PRESENT);
  EXPECT_EQ(node.clock_skew().seconds(), 42);
  EXPECT_EQ(node.classes(0), "nginx");
  EXPECT_TRUE(node.facts().fields().contains("os"));
  EXPECT_FALSE(roster_.Find("a")->ToNode(false).has_facts());
}

TEST_F(RosterTest, TenThousandNodesResolveQuickly) {
  for (int i = 0; i < 10000; ++i) {
    Hear(Whole(absl::StrCat("n", i), absl::StrCat(R"({"role":"r)", i % 10, R"(","cpus":4})")));
  }
  EXPECT_EQ(ResolveFact("role=r3").expected.size(), 1000u);
  const absl::Time begin = absl::Now();
  EXPECT_EQ(ResolveFact("role=r3").expected.size(), 1000u);
  EXPECT_LT(absl::Now() - begin, absl::Milliseconds(500));
}

TEST_F(RosterTest, IsBelievedOnceNobodyNewSpeaks) {
  clock_.Advance(absl::Hours(1));
  EXPECT_FALSE(roster_.Settled(now()));  // nobody was asked
  roster_.OnAsked(now());
  for (int i = 0; i < 30; ++i) {
    clock_.Advance(absl::Milliseconds(200));
    Hear(Of("n" + std::to_string(i)));
  }
  EXPECT_FALSE(roster_.Settled(now()));
  clock_.Advance(absl::Milliseconds(300));
  EXPECT_TRUE(roster_.Settled(now()));
  Hear(Of("late"));
  EXPECT_TRUE(roster_.Settled(now()));
}

}  // namespace
}  // namespace orch::controller
