// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "policy/policy.h"

namespace orch::policy {
namespace {

constexpr char kFleet[] = R"(
groups:
  operators: [cert=operator, senior]
  senior: [cert=chief, jwt=https://id.example.com/alice]
  nobody: []
rules:
  - effect: deny
    callers: "*"
    actions: puppet.run
    where: environment=frozen
  - effect: allow
    callers: [operators]
    actions: [puppet.*, node.ping]
    max_nodes: 50
  - {effect: allow, callers: [cert=dev], actions: [puppet.run], where: role=web and not canary, arguments: {noop: required, environment: [staging, development]}}
  - effect: allow
    callers: [cert=dev]
    actions: [puppet.disable]
    reason: required
    collectives: [dmz]
    max_percent: 10
)";

std::shared_ptr<const Policy> Parsed(absl::string_view text) {
  absl::StatusOr<std::shared_ptr<const Policy>> policy = Policy::ParseNative(text, "policy.yaml");
  EXPECT_TRUE(policy.ok()) << policy.status();
  return policy.ok() ? *policy : nullptr;
}

std::string Error(absl::string_view text) {
  return std::string(Policy::ParseNative(text, "policy.yaml").status().message());
}

Query Ask(const std::string& caller, const std::string& action) {
  Query query;
  query.caller = caller;
  query.action = action;
  return query;
}

std::string RuleWith(absl::string_view line) {
  return absl::StrCat("rules:\n- effect: allow\n  callers: cert=a\n  actions: puppet.run\n  ",
                      line);
}

TEST(NativePolicyTest, TheFirstRuleThatMatchesDecides) {
  const auto policy = Parsed(kFleet);
  const Decision decision = policy->Decide(Ask("cert=operator", "puppet.status"));
  EXPECT_TRUE(decision.conditions.empty());
  EXPECT_EQ(decision.otherwise, Effect::kAllow);
  EXPECT_EQ(decision.rule, "policy.yaml:11");
  EXPECT_EQ(decision.max_nodes, 50u);
  EXPECT_EQ(decision.reason, "policy.yaml:11 allows cert=operator to do puppet.status");
}

TEST(NativePolicyTest, WithoutARuleItIsDenied) {
  const auto policy = Parsed(kFleet);
  for (const char* action : {"puppet.run", "node.list", "job.cancel", "audit.list"}) {
    const Decision decision = policy->Decide(Ask("cert=guest", action));
    EXPECT_TRUE(decision.denied_outright()) << action;
    EXPECT_EQ(decision.rule, kDefaultDeny);
    EXPECT_EQ(decision.max_nodes, 0u);
  }
  EXPECT_EQ(policy->Decide(Ask("cert=guest", "node.list")).reason,
            "no rule allows cert=guest to do node.list");
}

TEST(NativePolicyTest, CallersAreComparedExactly) {
  const auto policy = Parsed(kFleet);
  for (const char* caller : {"cert=operator2", "cert=operato", "ert=operator", "CERT=operator",
                             "cert=Operator", "operators", "cert=operator ", "", "*", "senior"}) {
    EXPECT_TRUE(policy->Decide(Ask(caller, "puppet.status")).denied_outright()) << caller;
  }
}

TEST(NativePolicyTest, GroupsNest) {
  const auto policy = Parsed(kFleet);
  EXPECT_EQ(policy->Decide(Ask("cert=chief", "puppet.status")).otherwise, Effect::kAllow);
  EXPECT_EQ(policy->Decide(Ask("jwt=https://id.example.com/alice", "node.ping")).otherwise,
            Effect::kAllow);
  EXPECT_EQ(policy->GroupsOf("cert=chief"), (std::vector<std::string>{"operators", "senior"}));
  EXPECT_EQ(policy->GroupsOf("cert=operator"), (std::vector<std::string>{"operators"}));
  EXPECT_TRUE(policy->GroupsOf("cert=guest").empty());
}

TEST(NativePolicyTest, WhoIsNotAuthenticatedMustBeNamed) {
  const auto allowed = [](const std::string& effect, const std::string& callers) {
    const auto policy = Parsed(absl::StrCat("rules:\n- {effect: ", effect, ", callers: ", callers,
                                            ", actions: '*'}\n- {effect: allow, callers: "
                                            "local=insecure, actions: node.ping}\n"));
    const Decision decision = policy->Decide(Ask("local=insecure", "node.ping"));
    return absl::StrCat(decision.rule,
                        decision.otherwise == Effect::kAllow ? " allows" : " denies");
  };
  EXPECT_EQ(allowed("allow", "'*'"), "policy.yaml:3 allows");
  EXPECT_EQ(allowed("allow", "['*', local=insecure]"), "policy.yaml:2 allows");
  EXPECT_EQ(allowed("deny", "'*'"), "policy.yaml:2 denies");
}

TEST(NativePolicyTest, WhereBecomesACondition) {
  const auto policy = Parsed(kFleet);
  Decision decision = policy->Decide(Ask("cert=operator", "puppet.run"));
  ASSERT_EQ(decision.conditions.size(), 1u);
  EXPECT_EQ(decision.conditions[0].effect, Effect::kDeny);
  EXPECT_EQ(decision.conditions[0].where, "environment=frozen");
  EXPECT_EQ(decision.conditions[0].rule, "policy.yaml:7");
  EXPECT_FALSE(decision.conditions[0].action_policy);
  EXPECT_EQ(decision.otherwise, Effect::kAllow);
  EXPECT_FALSE(decision.denied_outright());
}

TEST(NativePolicyTest, WhatNoRuleAllowsIsDeniedWithoutConditions) {
  const auto policy = Parsed(kFleet);
  const Decision decision = policy->Decide(Ask("cert=bob", "puppet.run"));
  EXPECT_TRUE(decision.conditions.empty()) << decision.conditions.front().rule;
  EXPECT_EQ(decision.otherwise, Effect::kDeny);
  EXPECT_EQ(decision.rule, kDefaultDeny);
  EXPECT_EQ(decision.reason, "no rule allows cert=bob to do puppet.run");
  ASSERT_EQ(decision.steps.size(), 5u);
  EXPECT_EQ(decision.steps[0].why, "denies where environment=frozen");
  EXPECT_TRUE(decision.steps[4].decides);
}

TEST(NativePolicyTest, WhatADenialHidesIsNoCondition) {
  const std::string head =
      "rules:\n"
      "- {effect: deny, callers: '*', actions: '*', where: frozen}\n";
  const std::string denies = "- {effect: deny, callers: cert=bob, actions: '*'}\n";
  const std::string allows =
      "- {effect: allow, callers: '*', actions: '*', where: role=web, max_nodes: 5}\n";
  const Decision hidden =
      Parsed(absl::StrCat(head, denies, allows))->Decide(Ask("cert=bob", "puppet.run"));
  EXPECT_TRUE(hidden.conditions.empty());
  EXPECT_TRUE(hidden.denied_outright());
  EXPECT_EQ(hidden.rule, "policy.yaml:3");
  EXPECT_EQ(hidden.reason, "policy.yaml:3 denies cert=bob to do puppet.run");
  EXPECT_EQ(hidden.max_nodes, 0u);
  // The other way round it depends on the node, and all that stands before is needed.
  const Decision open =
      Parsed(absl::StrCat(head, allows, denies))->Decide(Ask("cert=bob", "puppet.run"));
  ASSERT_EQ(open.conditions.size(), 2u);
  EXPECT_EQ(open.conditions[0].effect, Effect::kDeny);
  EXPECT_EQ(open.conditions[1].effect, Effect::kAllow);
  EXPECT_FALSE(open.denied_outright());
}

TEST(NativePolicyTest, WhatIsAllowedAnywayDependsOnNoNode) {
  const std::string web = "rules:\n- {effect: allow, callers: '*', actions: '*', where: role=web";
  const std::string rest = "}\n- {effect: allow, callers: cert=a, actions: '*'}\n";
  const Decision plain = Parsed(absl::StrCat(web, rest))->Decide(Ask("cert=a", "puppet.run"));
  EXPECT_TRUE(plain.conditions.empty());
  EXPECT_EQ(plain.otherwise, Effect::kAllow);
  EXPECT_EQ(plain.rule, "policy.yaml:3");
  // The limit is shared with those whom only the first rule allows.
  const Decision limited =
      Parsed(absl::StrCat(web, ", max_nodes: 5", rest))->Decide(Ask("cert=a", "puppet.run"));
  ASSERT_EQ(limited.conditions.size(), 1u);
  EXPECT_EQ(limited.conditions[0].rule, "policy.yaml:2");
  EXPECT_EQ(limited.max_nodes, 5u);
}

TEST(NativePolicyTest, ArgumentsMustFit) {
  const auto policy = Parsed(kFleet);
  orch::v1::Action action;
  Query query = Ask("cert=dev", "puppet.run");
  query.arguments = &action;
  EXPECT_TRUE(policy->Decide(query).denied_outright());
  EXPECT_EQ(policy->Decide(query).reason,
            "no rule allows cert=dev to do puppet.run (policy.yaml:15: only with noop: required)");
  action.mutable_puppet_run()->set_noop(true);
  EXPECT_TRUE(policy->Decide(query).denied_outright());
  action.mutable_puppet_run()->set_environment("production");
  EXPECT_TRUE(policy->Decide(query).denied_outright());
  action.mutable_puppet_run()->set_environment("staging");
  const Decision decision = policy->Decide(query);
  ASSERT_EQ(decision.conditions.size(), 2u);
  EXPECT_EQ(decision.conditions[1].where, "role=web and not canary");
  EXPECT_EQ(decision.otherwise, Effect::kDeny);
  EXPECT_FALSE(decision.denied_outright());
  action.mutable_puppet_run()->set_noop(false);
  EXPECT_TRUE(policy->Decide(query).denied_outright());
}

TEST(NativePolicyTest, CollectiveAndReasonMustFit) {
  const auto policy = Parsed(kFleet);
  Query query = Ask("cert=dev", "puppet.disable");
  query.reason = "  ";
  query.collective = "dmz";
  EXPECT_TRUE(policy->Decide(query).denied_outright());
  EXPECT_EQ(policy->Decide(query).reason,
            "no rule allows cert=dev to do puppet.disable (policy.yaml:16: only with a reason)");
  query.reason = "broken deploy";
  EXPECT_EQ(policy->Decide(query).otherwise, Effect::kAllow);
  EXPECT_EQ(policy->Decide(query).max_percent, 10u);
  query.collective = "main";
  EXPECT_TRUE(policy->Decide(query).denied_outright());
}

TEST(NativePolicyTest, ExplainsEveryRuleUpToTheOneThatDecides) {
  const auto policy = Parsed(kFleet);
  const Decision decision = policy->Decide(Ask("cert=dev", "node.ping"));
  ASSERT_EQ(decision.steps.size(), 5u);
  EXPECT_EQ(decision.steps[0].file, "policy.yaml");
  EXPECT_EQ(decision.steps[0].line, 7);
  EXPECT_EQ(decision.steps[0].rule, "deny *: puppet.run where environment=frozen");
  EXPECT_EQ(decision.steps[0].why, "node.ping is none of its actions");
  EXPECT_EQ(decision.steps[1].why, "cert=dev is not one of the rule's callers");
  EXPECT_EQ(decision.steps[4].rule, kDefaultDeny);
  EXPECT_TRUE(decision.steps[4].decides);
  const Decision allowed = policy->Decide(Ask("cert=chief", "puppet.run"));
  ASSERT_EQ(allowed.steps.size(), 2u);
  EXPECT_EQ(allowed.steps[0].why, "denies where environment=frozen");
  EXPECT_FALSE(allowed.steps[0].decides);
  EXPECT_EQ(allowed.steps[1].why, "matches: allows");
  EXPECT_TRUE(allowed.steps[1].decides);
}

TEST(NativePolicyTest, TheTightestLimitCounts) {
  const auto policy = Parsed(
      "rules:\n"
      "- {effect: allow, callers: '*', actions: '*', where: role=web, max_nodes: 5}\n"
      "- {effect: allow, callers: '*', actions: '*', where: role=db, max_percent: 20}\n"
      "- {effect: allow, callers: '*', actions: '*', max_nodes: 50, max_percent: 10}\n"
      "- {effect: allow, callers: '*', actions: '*', max_nodes: 1}\n");
  const Decision decision = policy->Decide(Ask("cert=a", "puppet.run"));
  EXPECT_EQ(decision.max_nodes, 5u);
  EXPECT_EQ(decision.max_percent, 10u);
}

TEST(NativePolicyTest, ABadLineRefusesTheFile) {
  EXPECT_EQ(Error(""), "policy.yaml:1: expected groups and rules");
  EXPECT_EQ(Error("groups: {}"),
            "policy.yaml:1: there are no rules; to deny everything write rules: []");
  EXPECT_EQ(Error("rules: {}"), "policy.yaml:1: rules: expected a list");
  EXPECT_EQ(Error("rules: []\nrule: []"),
            "policy.yaml:2: rule: no such field; known: groups, rules, end");
  EXPECT_EQ(Error("rules: [\n"), "policy.yaml:2: not valid YAML: end of sequence flow not found");
  EXPECT_EQ(Error("rules:\n- 7"),
            "policy.yaml:2: a rule is a mapping with effect, callers and actions");
  EXPECT_EQ(Error("rules:\n- {effect: permit}"), "policy.yaml:2: effect: expected allow or deny");
  EXPECT_EQ(Error("rules:\n- {callers: '*'}"), "policy.yaml:2: effect: expected allow or deny");
  EXPECT_EQ(Error("rules:\n- {effect: deny}"), "policy.yaml:2: callers: missing; * is everybody");
  EXPECT_EQ(Error("rules:\n- {effect: deny, callers: []}"),
            "policy.yaml:2: callers: expected at least a word");
  EXPECT_EQ(Error("rules:\n- {effect: deny, callers: ops}"),
            "policy.yaml:2: callers: `ops` is no group, and no caller such as cert=operator");
  EXPECT_EQ(Error("rules:\n- {effect: deny, callers: 'cert=a b'}"),
            "policy.yaml:2: callers: `cert=a b` is no group, and no caller such as cert=operator");
  EXPECT_EQ(Error("rules:\n- {effect: deny, callers: '*'}"),
            "policy.yaml:2: actions: missing; * is every action");
  EXPECT_EQ(Error("rules:\n- {effect: deny, callers: '*', actions: puppet}"),
            "policy.yaml:2: actions: expected puppet.run, puppet.* or *, found `puppet`");
  EXPECT_EQ(Error(RuleWith("where: role=web or")),
            "policy.yaml:5: where: column 12: expected a fact, class or \"(\", found the end");
  EXPECT_EQ(Error(RuleWith("wher: role=web")),
            "policy.yaml:5: wher: no such field; known: effect, callers, actions, where, "
            "arguments, max_nodes, "
            "max_percent, collectives, reason");
  EXPECT_EQ(Error(RuleWith("max_nodes: 0")), "policy.yaml:5: max_nodes: expected a number above 0");
  EXPECT_EQ(Error(RuleWith("max_nodes: many")),
            "policy.yaml:5: max_nodes: expected a number above 0");
  EXPECT_EQ(Error(RuleWith("max_percent: 101")),
            "policy.yaml:5: max_percent: expected a number from 1 to 100");
  EXPECT_EQ(Error(RuleWith("reason: optional")), "policy.yaml:5: reason: expected required");
  EXPECT_EQ(Error(RuleWith("collectives: [Main]")),
            "policy.yaml:5: collectives: `Main` is no name of a collective");
  EXPECT_EQ(Error("rules:\n- effect: deny\n  callers: '*'\n  actions: '*'\n  max_nodes: 3"),
            "policy.yaml:5: max_nodes, max_percent and reason are for rules that allow");
}

TEST(NativePolicyTest, ChecksConstraintsOfArguments) {
  EXPECT_EQ(Error(RuleWith("arguments: {nop: required}")),
            "policy.yaml:5: arguments.nop: no action of this rule has it");
  EXPECT_EQ(Error(RuleWith("arguments: {noop: maybe}")),
            "policy.yaml:5: arguments.noop: expected required, forbidden or a list of values");
  EXPECT_EQ(Error(RuleWith("arguments: {environment: []}")),
            "policy.yaml:5: arguments.environment: expected at least a word");
  EXPECT_EQ(Error(RuleWith("arguments: [noop]")),
            "policy.yaml:5: arguments: expected name: constraint");
  // Of an external action only the nodes know the arguments.
  EXPECT_NE(Parsed("rules:\n- {effect: allow, callers: cert=a, actions: backup.start, arguments: "
                   "{what: [db]}}"),
            nullptr);
}

TEST(NativePolicyTest, RefusesWhatYamlWouldBend) {
  EXPECT_EQ(Error("rules: []\nrules: []"), "policy.yaml:2: rules is given twice");
  EXPECT_EQ(Error("rules: []\n---\nrules: []"), "policy.yaml:3: a second document is not allowed");
  EXPECT_EQ(Error("groups: &a {}\nrules: []"), "policy.yaml:1: anchors are not allowed");
  EXPECT_EQ(Error("rules: !!seq []"), "policy.yaml:1: tags are not allowed");
  EXPECT_EQ(Error("? [a]\n: b\nrules: []"), "policy.yaml:1: a key must be a plain word");
  EXPECT_EQ(Error(absl::string_view("rules: []\0", 10)), "policy.yaml:1: not a text file");
  EXPECT_NE(Error(absl::StrCat("rules: ", std::string(100, '['), std::string(100, ']')))
                .find("nested too deeply"),
            std::string::npos);
  EXPECT_NE(Error(std::string(100'000, '[')).find("policy.yaml:1: "), std::string::npos);
  EXPECT_EQ(Error(std::string((1 << 20) + 1, '#')), "policy.yaml: larger than 1048576 bytes");
  std::string bomb = "a: &a [x]\n";
  EXPECT_NE(Error(bomb + "b: [*a, *a]\nrules: []").find("not allowed"), std::string::npos);
}

TEST(NativePolicyTest, RefusesCyclesAndStrangeGroups) {
  EXPECT_EQ(Error("groups:\n  a: [b]\n  b: [c]\n  c: [a]\nrules: []"),
            "policy.yaml:2: group a contains itself");
  EXPECT_EQ(Error("groups: {a: [a]}\nrules: []"), "policy.yaml:1: group a contains itself");
  EXPECT_EQ(Error("groups: {a: [b]}\nrules: []"),
            "policy.yaml:1: groups.a: `b` is no group, and no caller such as cert=operator");
  EXPECT_EQ(Error("groups: {'a b': []}\nrules: []"),
            "policy.yaml:1: groups.a b: a name is made of letters, digits, . _ -");
  std::string deep = "rules: []\ngroups:\n  g0: [cert=a]\n";
  for (int i = 1; i < 999; ++i) absl::StrAppend(&deep, "  g", i, ": [g", i - 1, "]\n");
  EXPECT_EQ(Parsed(deep)->GroupsOf("cert=a").size(), 999u);
  absl::StrAppend(&deep, "  h: []\n  i: []\n");
  EXPECT_EQ(Error(deep), "policy.yaml:3: groups: more than 1000");
}

TEST(NativePolicyTest, LoadsAFileAndNamesItInErrors) {
  const std::string path = absl::StrCat(getenv("TEST_TMPDIR"), "/fleet.yaml");
  std::ofstream(path) << kFleet;
  const auto policy = Policy::LoadNative(path);
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_EQ((*policy)->Decide(Ask("cert=operator", "node.ping")).rule, "fleet.yaml:11");
  std::ofstream(path) << "rules: 7";
  EXPECT_EQ(Policy::LoadNative(path).status().message(),
            absl::StrCat(path, ":1: rules: expected a list"));
  EXPECT_EQ(Policy::LoadNative(path + ".none").status().code(), absl::StatusCode::kNotFound);
}

TEST(NativePolicyTest, AByteOrderMarkIsNoPartOfTheFirstKey) {
  EXPECT_EQ(Error("\xef\xbb\xbfrules: []\n"), Error("rules: []\n"));
}

}  // namespace
}  // namespace orch::policy
