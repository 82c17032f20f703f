// SPDX-License-Identifier: Apache-2.0
// The engine behind both kinds of file: constraints on arguments, conditions on a node, two sources
// together.

#include "policy/rule.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "policy/arguments.h"
#include "policy/policy.h"

namespace orch::policy {
namespace {

using Kind = ArgumentConstraint::Kind;

bool Fits(const std::string& name, Kind kind, std::vector<std::string> values,
          const orch::v1::Action& action, Doubt doubt = Doubt::kIsNo,
          absl::string_view action_name = "puppet.run") {
  return Holds({name, kind, std::move(values)}, action_name, &action, doubt);
}

TEST(ArgumentsTest, RequiredAndForbidden) {
  orch::v1::Action action;
  EXPECT_FALSE(Fits("noop", Kind::kRequired, {}, action));
  EXPECT_TRUE(Fits("noop", Kind::kForbidden, {}, action));
  action.mutable_puppet_run()->set_noop(false);
  EXPECT_FALSE(Fits("noop", Kind::kRequired, {}, action));
  action.mutable_puppet_run()->set_noop(true);
  EXPECT_TRUE(Fits("noop", Kind::kRequired, {}, action));
  EXPECT_FALSE(Fits("noop", Kind::kForbidden, {}, action));
  action.mutable_puppet_run()->mutable_timeout()->set_seconds(60);
  EXPECT_TRUE(Fits("timeout", Kind::kRequired, {}, action));
  EXPECT_TRUE(Fits("tags", Kind::kForbidden, {}, action));
  action.mutable_puppet_run()->add_tags("web");
  EXPECT_FALSE(Fits("tags", Kind::kForbidden, {}, action));
  EXPECT_FALSE(Holds({"noop", Kind::kRequired, {}}, "puppet.run", nullptr, Doubt::kIsNo));
}

TEST(ArgumentsTest, OneOfIsStrictForAllowAndWideForDeny) {
  orch::v1::Action action;
  action.mutable_puppet_run();
  // Not set: the node's own environment, which may be any.
  EXPECT_FALSE(Fits("environment", Kind::kOneOf, {"staging"}, action, Doubt::kIsNo));
  EXPECT_TRUE(Fits("environment", Kind::kOneOf, {"staging"}, action, Doubt::kIsYes));
  action.mutable_puppet_run()->set_environment("production");
  EXPECT_FALSE(Fits("environment", Kind::kOneOf, {"staging"}, action, Doubt::kIsNo));
  EXPECT_FALSE(Fits("environment", Kind::kOneOf, {"staging"}, action, Doubt::kIsYes));
  EXPECT_TRUE(Fits("environment", Kind::kOneOf, {"x", "production"}, action, Doubt::kIsNo));
  action.mutable_puppet_run()->add_tags("web");
  action.mutable_puppet_run()->add_tags("db");
  EXPECT_FALSE(Fits("tags", Kind::kOneOf, {"web"}, action, Doubt::kIsNo));
  EXPECT_TRUE(Fits("tags", Kind::kOneOf, {"web"}, action, Doubt::kIsYes));
  EXPECT_TRUE(Fits("tags", Kind::kOneOf, {"web", "db"}, action, Doubt::kIsNo));
  EXPECT_TRUE(Fits("ignore_schedules", Kind::kOneOf, {"true"}, action, Doubt::kIsYes));
}

TEST(ArgumentsTest, WhatPuppetLowersIsComparedSo) {
  orch::v1::Action action;
  action.mutable_puppet_run()->add_tags("Dangerous::Thing");
  EXPECT_TRUE(Fits("tags", Kind::kOneOf, {"dangerous::thing"}, action, Doubt::kIsYes));
  EXPECT_TRUE(Fits("tags", Kind::kOneOf, {"DANGEROUS::Thing"}, action, Doubt::kIsNo));
  // Environments are two where their case differs.
  action.mutable_puppet_run()->set_environment("Staging");
  EXPECT_FALSE(Fits("environment", Kind::kOneOf, {"staging"}, action, Doubt::kIsNo));
}

TEST(ArgumentsTest, AnActionWithoutTheArgumentNeverHasAValueOfIt) {
  orch::v1::Action action;
  action.mutable_puppet_status();
  for (const Doubt doubt : {Doubt::kIsNo, Doubt::kIsYes}) {
    EXPECT_FALSE(Fits("environment", Kind::kOneOf, {"staging"}, action, doubt, "puppet.status"));
    EXPECT_FALSE(Fits("noop", Kind::kRequired, {}, action, doubt, "puppet.status"));
    EXPECT_TRUE(Fits("noop", Kind::kForbidden, {}, action, doubt, "puppet.status"));
  }
}

TEST(ArgumentsTest, ReadsTheJsonOfExternalActions) {
  orch::v1::Action action;
  action.mutable_external()->set_name("backup.start");
  auto& fields = *action.mutable_external()->mutable_arguments()->mutable_fields();
  fields["what"].set_string_value("db");
  fields["level"].set_number_value(10'000'000);
  fields["full"].set_bool_value(false);
  fields["hosts"].mutable_list_value()->add_values()->set_string_value("a");
  fields["hosts"].mutable_list_value()->add_values()->set_string_value("b");
  const auto one_of = [&action](const std::string& name, std::vector<std::string> values) {
    return Fits(name, Kind::kOneOf, std::move(values), action, Doubt::kIsNo, "backup.start");
  };
  EXPECT_TRUE(one_of("what", {"db"}));
  EXPECT_FALSE(one_of("what", {"files"}));
  EXPECT_TRUE(one_of("level", {"10000000"}));
  EXPECT_TRUE(one_of("hosts", {"a", "b", "c"}));
  EXPECT_FALSE(one_of("hosts", {"a"}));
  EXPECT_FALSE(one_of("none", {"a"}));
  EXPECT_FALSE(Fits("full", Kind::kRequired, {}, action, Doubt::kIsNo, "backup.start"));
  EXPECT_TRUE(Fits("what", Kind::kRequired, {}, action, Doubt::kIsNo, "backup.start"));
}

TEST(ActionListTest, TakesNamesGroupsAndAny) {
  ActionList list;
  EXPECT_TRUE(list.Add("puppet.run"));
  EXPECT_TRUE(list.Add("node.*"));
  EXPECT_TRUE(list.Contains("puppet.run"));
  EXPECT_TRUE(list.Contains("node.list"));
  EXPECT_FALSE(list.Contains("puppet.status"));
  EXPECT_FALSE(list.Contains("nodes.list"));
  for (const char* word :
       {"", "puppet", ".run", "puppet.", "*.run", "puppet.r*", "a.b.c", "p u.x"}) {
    EXPECT_FALSE(ActionList().Add(word)) << word;
  }
}

target::NodeData Node(const nlohmann::json& facts) {
  target::NodeData out;
  out.facts_value = facts;
  out.classes_value = {"apache"};
  return out;
}

const Condition kDenyDev = {Effect::kDeny, "env!=dev", "p:1", false};
const Condition kAllowWeb = {Effect::kAllow, "role=web", "p:2", false};

TEST(DecideOnNodeTest, TheFirstConditionThatHoldsDecides) {
  const std::vector<Condition> conditions = {kDenyDev, kAllowWeb};
  NodeDecision decision =
      DecideOnNode(conditions, Effect::kDeny, Node({{"env", "dev"}, {"role", "web"}}));
  EXPECT_EQ(decision.effect, Effect::kAllow);
  EXPECT_EQ(decision.rule, "p:2");
  EXPECT_EQ(decision.why, "where role=web");
  decision = DecideOnNode(conditions, Effect::kDeny, Node({{"env", "prod"}, {"role", "web"}}));
  EXPECT_EQ(decision.effect, Effect::kDeny);
  EXPECT_EQ(decision.rule, "p:1");
  decision = DecideOnNode(conditions, Effect::kDeny, Node({{"env", "dev"}, {"role", "db"}}));
  EXPECT_EQ(decision.effect, Effect::kDeny);
  EXPECT_EQ(decision.rule, "");
  decision = DecideOnNode(conditions, Effect::kAllow, Node({{"env", "dev"}, {"role", "db"}}));
  EXPECT_EQ(decision.effect, Effect::kAllow);
}

TEST(DecideOnNodeTest, WhatStaysUnknownNeverPermits) {
  // The fact env is missing: the deny rule can't be told from one that holds.
  EXPECT_EQ(DecideOnNode({kDenyDev, kAllowWeb}, Effect::kAllow, Node({{"role", "web"}})).effect,
            Effect::kDeny);
  // The fact role is missing: the allow rule does not match, the next one is asked.
  EXPECT_EQ(DecideOnNode({kAllowWeb}, Effect::kDeny, Node(nlohmann::json::object())).effect,
            Effect::kDeny);
  EXPECT_EQ(DecideOnNode({kAllowWeb}, Effect::kAllow, Node(nlohmann::json::object())).effect,
            Effect::kAllow);
  // Decided whatever the missing fact may be.
  const Condition decided = {Effect::kDeny, "env!=dev and mysql", "p:1", false};
  EXPECT_EQ(DecideOnNode({decided}, Effect::kAllow, Node(nlohmann::json::object())).effect,
            Effect::kAllow);
}

TEST(DecideOnNodeTest, InAnActionPolicyAMissingFactIsFalse) {
  Condition condition = kDenyDev;
  condition.action_policy = true;
  EXPECT_EQ(DecideOnNode({condition}, Effect::kAllow, Node({{"role", "web"}})).effect,
            Effect::kAllow);
}

TEST(DecideOnNodeTest, AnUnanswerableCallAndABadConditionDeny) {
  struct NoCalls : target::NodeData {
    absl::StatusOr<nlohmann::json> Answer(const target::Call&) const override {
      return absl::InvalidArgumentError("there is no such call");
    }
  };
  for (const bool action_policy : {false, true}) {
    EXPECT_EQ(DecideOnNode({{Effect::kDeny, "foo().x=1", "p:1", action_policy}}, Effect::kAllow,
                           NoCalls())
                  .effect,
              Effect::kDeny);
    EXPECT_EQ(DecideOnNode({{Effect::kAllow, "!foo().x=1", "p:1", action_policy}}, Effect::kDeny,
                           NoCalls())
                  .effect,
              Effect::kDeny);
  }
  const NodeDecision bad =
      DecideOnNode({{Effect::kAllow, "role=", "p:1", false}}, Effect::kAllow, Node({}));
  EXPECT_EQ(bad.effect, Effect::kDeny);
  EXPECT_EQ(bad.why, "the condition can't be read: column 6: expected a value, found the end");
}

TEST(DecideOnNodeTest, TheControllerSaysWhatItCannotTell) {
  target::NodeData fresh;
  fresh.facts_known = false;
  NodeDecision decision = DecideOnNode({kAllowWeb}, Effect::kDeny, fresh);
  EXPECT_TRUE(decision.unknown);
  EXPECT_EQ(decision.effect, Effect::kDeny);
  EXPECT_EQ(decision.why, "facts are not known");
  // Allowed, whatever the condition comes to.
  decision = DecideOnNode({kAllowWeb}, Effect::kAllow, fresh);
  EXPECT_FALSE(decision.unknown);
  EXPECT_EQ(decision.effect, Effect::kAllow);
  decision = DecideOnNode({kDenyDev}, Effect::kDeny, fresh);
  EXPECT_FALSE(decision.unknown);
  EXPECT_EQ(decision.effect, Effect::kDeny);
  decision = DecideOnNode({kDenyDev, kAllowWeb}, Effect::kAllow, fresh);
  EXPECT_TRUE(decision.unknown);
}

TEST(DecideOnNodeTest, ADeciderServesManyNodes) {
  const NodeDecider decider({kAllowWeb}, Effect::kDeny);
  int allowed = 0;
  for (int i = 0; i < 100; ++i) {
    allowed += decider.Decide(Node({{"role", i % 4 == 0 ? "web" : "db"}})).effect == Effect::kAllow;
  }
  EXPECT_EQ(allowed, 25);
}

std::shared_ptr<const Policy> Native(const std::string& rules) {
  return *Policy::ParseNative("rules:\n" + rules, "policy.yaml");
}

TEST(CombineTest, TheSecondDecidesWhatTheFirstLeaves) {
  const auto first = Native(
      "- {effect: deny, callers: '*', actions: '*', where: env=frozen}\n"
      "- {effect: allow, callers: cert=a, actions: puppet.run, max_nodes: 5}\n");
  const auto second =
      Native("- {effect: allow, callers: '*', actions: puppet.*, where: role=web, max_nodes: 9}\n");
  const auto both = Policy::Combine(first, second);
  Query query;
  query.caller = "cert=b";
  query.action = "puppet.run";
  Decision decision = both->Decide(query);
  // The deny rule of the first still comes before what the second allows.
  ASSERT_EQ(decision.conditions.size(), 2u);
  EXPECT_EQ(decision.conditions[0].effect, Effect::kDeny);
  EXPECT_EQ(decision.conditions[1].where, "role=web");
  EXPECT_EQ(decision.max_nodes, 9u);
  EXPECT_EQ(DecideOnNode(decision.conditions, decision.otherwise,
                         Node({{"env", "frozen"}, {"role", "web"}}))
                .effect,
            Effect::kDeny);
  query.caller = "cert=a";
  decision = both->Decide(query);
  EXPECT_EQ(decision.conditions.size(), 1u);
  EXPECT_EQ(decision.rule, "policy.yaml:3");
  EXPECT_EQ(decision.max_nodes, 5u);
  query.action = "node.list";
  EXPECT_TRUE(both->Decide(query).denied_outright());
}

TEST(CombineTest, ADenialOfTheFirstStandsBeforeWhatTheSecondAllows) {
  const auto first = Native("- {effect: deny, callers: '*', actions: '*', where: frozen}\n");
  const auto second = Native("- {effect: allow, callers: cert=a, actions: puppet.run}\n");
  Query query;
  query.caller = "cert=a";
  query.action = "puppet.run";
  EXPECT_TRUE(first->Decide(query).conditions.empty()) << "by itself it denies everything";
  for (const auto& both : {Policy::Combine(first, second),
                           Policy::Combine(Policy::Combine(first, Native("  []\n")), second)}) {
    const Decision decision = both->Decide(query);
    EXPECT_EQ(decision.otherwise, Effect::kAllow);
    ASSERT_EQ(decision.conditions.size(), 1u);
    EXPECT_EQ(decision.conditions[0].where, "frozen");
  }
  query.caller = "cert=b";
  const Decision denied = Policy::Combine(first, second)->Decide(query);
  EXPECT_TRUE(denied.conditions.empty());
  EXPECT_EQ(denied.rule, kDefaultDeny);
  EXPECT_EQ(denied.reason, "no rule allows cert=b to do puppet.run");
}

TEST(CombineTest, NothingDeniesEverything) {
  Query query;
  query.caller = "cert=a";
  query.action = "node.ping";
  EXPECT_TRUE(Policy::Combine(nullptr, nullptr)->Decide(query).denied_outright());
  const auto one = Native("- {effect: allow, callers: cert=a, actions: '*'}\n");
  EXPECT_FALSE(Policy::Combine(one, nullptr)->Decide(query).denied_outright());
  EXPECT_FALSE(Policy::Combine(nullptr, one)->Decide(query).denied_outright());
}

}  // namespace
}  // namespace orch::policy
