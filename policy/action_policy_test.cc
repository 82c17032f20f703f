// SPDX-License-Identifier: Apache-2.0
#include "policy/action_policy.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "policy/lint.h"

namespace orch::policy {
namespace {

constexpr char kGroups[] =
    "# who is who\nops cert=operator jwt=ci\nempty\nadmins cert=admin2 /cert=adm-.*/\n";

std::shared_ptr<const Policy> Parsed(const std::string& puppet) {
  const auto policy =
      ParseActionPolicy({{"puppet.policy", puppet}, {"groups", kGroups}}, ActionNames::kMapped);
  EXPECT_TRUE(policy.ok()) << policy.status();
  return policy.ok() ? *policy : nullptr;
}

std::string Error(const std::string& puppet) {
  return std::string(
      ParseActionPolicy({{"puppet.policy", puppet}, {"groups", kGroups}}, ActionNames::kMapped)
          .status()
          .message());
}

Effect Decided(const Policy& policy, const std::string& caller, const std::string& action,
               const nlohmann::json& facts = {{"role", "web"}, {"os", "Debian"}}) {
  Query query;
  query.caller = caller;
  query.action = action;
  const Decision decision = policy.Decide(query);
  target::NodeData node;
  node.facts_value = facts;
  node.classes_value = {"apache", "role::web"};
  return DecideOnNode(decision.conditions, decision.otherwise, node).effect;
}

bool Allows(const std::string& puppet, const std::string& caller,
            const std::string& action = "puppet.run") {
  return Decided(*Parsed(puppet), caller, action) == Effect::kAllow;
}

TEST(ActionPolicyTest, CallersMatchExactlyOrByAnchoredRegex) {
  EXPECT_TRUE(Allows("allow\tcert=operator\t*\t*\t*", "cert=operator"));
  EXPECT_FALSE(Allows("allow\tcert=operator\t*\t*\t*", "cert=oper"));
  EXPECT_FALSE(Allows("allow\tcert=operator\t*\t*\t*", "cert=operator2"));
  EXPECT_TRUE(Allows("allow\tcert=a cert=b uid=500\t*\t*\t*", "uid=500"));
  EXPECT_FALSE(Allows("allow\tcert=a cert=b\t*\t*\t*", "cert=a cert=b"));
  EXPECT_TRUE(Allows("allow\t/cert=(a|b)/\t*\t*\t*", "cert=b"));
  EXPECT_FALSE(Allows("allow\t/cert=a|b/\t*\t*\t*", "cert=bb"));
  EXPECT_FALSE(Allows("allow\t/cert=a/\t*\t*\t*", "cert=a\n"));
  EXPECT_TRUE(Allows("allow\tops\t*\t*\t*", "jwt=ci"));
  EXPECT_FALSE(Allows("allow\tops\t*\t*\t*", "ops"));
  EXPECT_FALSE(Allows("allow\tempty\t*\t*\t*", "cert=operator"));
  EXPECT_TRUE(Allows("allow\tadmins\t*\t*\t*", "cert=adm-7"));
  EXPECT_FALSE(Allows("allow\tadmins\t*\t*\t*", "cert=admin"));
  EXPECT_TRUE(Allows("allow\t*\t*\t*\t*", "anybody"));
}

TEST(ActionPolicyTest, DefaultsStandAnywhereAndAreDenyIfAbsent) {
  EXPECT_FALSE(Allows("", "cert=a"));
  EXPECT_TRUE(Allows("policy default allow", "cert=a"));
  EXPECT_FALSE(Allows("policy default deny\n", "cert=a"));
  EXPECT_FALSE(Allows("policy default allow\ndeny\tcert=a\t*\t*\t*", "cert=a"));
  EXPECT_FALSE(Allows("deny\tcert=a\t*\t*\t*\npolicy default allow\n", "cert=a"));
  EXPECT_TRUE(Allows("policy\tdefault  allow", "cert=a"));
}

TEST(ActionPolicyTest, NamesAreMapped) {
  const std::string text = "allow\t*\trunonce last_run_summary status\t*\t*";
  EXPECT_TRUE(Allows(text, "cert=a", "puppet.run"));
  EXPECT_TRUE(Allows(text, "cert=a", "puppet.summary"));
  EXPECT_TRUE(Allows(text, "cert=a", "puppet.status"));
  EXPECT_FALSE(Allows(text, "cert=a", "puppet.runonce"));
  EXPECT_FALSE(Allows(text, "cert=a", "puppet.disable"));
  EXPECT_FALSE(Allows("policy default allow", "cert=a", "node.ping"));
  EXPECT_FALSE(Allows("policy default allow", "cert=a", "job.cancel"));
}

TEST(ActionPolicyTest, RpcutilAndDiscoveryShareTheirActions) {
  const auto policy = *ParseActionPolicy(
      {{"discovery.policy", "policy default deny"},
       {"rpcutil.policy", "allow\tcert=a\tinventory\t*\t*\npolicy default allow"},
       {"README", "not\ta\tpolicy"}},
      ActionNames::kMapped);
  EXPECT_EQ(Decided(*policy, "cert=a", "node.inventory"), Effect::kAllow);
  EXPECT_EQ(Decided(*policy, "cert=b", "node.inventory"), Effect::kDeny);
  EXPECT_EQ(Decided(*policy, "cert=b", "node.ping"), Effect::kDeny);
}

TEST(ActionPolicyTest, WordsOfFactsAndClassesAreAnd) {
  EXPECT_TRUE(Allows("allow\t*\t*\trole=web os=Debian\tapache /^role/", "cert=a"));
  EXPECT_FALSE(Allows("allow\t*\t*\trole=web os=RedHat\tapache", "cert=a"));
  EXPECT_FALSE(Allows("allow\t*\t*\trole=web\tapache nginx", "cert=a"));
  EXPECT_TRUE(Allows("allow\t*\t*\trole=db or os=Debian\t!nginx", "cert=a"));
  EXPECT_FALSE(Allows("allow\t*\t*\trole=db or os=RedHat\tnginx or apache", "cert=a"));
  EXPECT_TRUE(Allows("allow\t\t*\t\t*\t\trole=/^w/\t\t*\t", "cert=a"));
  EXPECT_TRUE(Allows("allow\t*\t*\t*\t*\r\n", "cert=a"));
}

TEST(ActionPolicyTest, FourFieldsAreOneExpression) {
  EXPECT_TRUE(Allows("allow\t*\t*\tapache and !role=db", "cert=a"));
  EXPECT_FALSE(Allows("allow\t*\t*\tnot (apache or mysql)", "cert=a"));
  EXPECT_TRUE(Allows("allow\t*\t*\tapache", "cert=a"));
  EXPECT_TRUE(Allows("allow\t*\t*\t*", "cert=a"));
}

TEST(ActionPolicyTest, ConditionsSayThatTheyAreOfAnActionPolicy) {
  const auto policy = Parsed("deny\t*\t*\tenv=prod\tapache or mysql\nallow\t*\t*\t*\t*");
  Query query;
  query.caller = "cert=a";
  query.action = "puppet.run";
  const Decision decision = policy->Decide(query);
  ASSERT_EQ(decision.conditions.size(), 1u);
  EXPECT_TRUE(decision.conditions[0].action_policy);
  EXPECT_EQ(decision.conditions[0].where, "env=prod and (apache or mysql)");
  EXPECT_EQ(decision.conditions[0].rule, "puppet.policy:1");
  EXPECT_EQ(decision.rule, "puppet.policy:2");
  EXPECT_EQ(decision.steps[0].rule, "deny * * env=prod apache or mysql");
}

TEST(ActionPolicyTest, WhatNoLineAllowsIsDeniedWithoutConditions) {
  const auto decided = [](const std::string& puppet) {
    Query query;
    query.caller = "cert=a";
    query.action = "puppet.run";
    return Parsed(puppet)->Decide(query);
  };
  // With and without a default, in front of lines that allow others.
  for (const char* rest : {"", "policy default deny", "allow\tcert=b\t*\t*\t*",
                           "deny\t*\t*\t*\t*\nallow\t*\t*\trole=web\t*"}) {
    const Decision decision = decided(absl::StrCat("deny\t*\t*\tenv=prod\t*\n", rest));
    EXPECT_TRUE(decision.conditions.empty()) << rest;
    EXPECT_EQ(decision.otherwise, Effect::kDeny) << rest;
  }
  EXPECT_EQ(decided("deny\t*\t*\tenv=prod\t*\nallow\t*\t*\trole=web\t*").conditions.size(), 2u);
  EXPECT_EQ(decided("deny\t*\t*\tenv=prod\t*\npolicy default allow").conditions.size(), 1u);
}

TEST(ActionPolicyTest, ABadLineRefusesAllFiles) {
  EXPECT_EQ(Error("# ok\nallow cert=a * * *"),
            "puppet.policy:2: expected 4 or 5 fields separated by tabs, found 1");
  EXPECT_EQ(Error("permit\t*\t*\t*\t*"),
            "puppet.policy:1: expected allow or deny, found \"permit\"");
  EXPECT_EQ(Error("allow\t*\t*\t*\t*\t*"),
            "puppet.policy:1: expected 4 or 5 fields separated by tabs, found 6");
  EXPECT_EQ(Error("allow\tcert=a *\t*\t*\t*"), "puppet.policy:1: callers: * stands alone");
  EXPECT_EQ(Error("allow\tnobody\t*\t*\t*"),
            "puppet.policy:1: \"nobody\" is no group, and no caller such as cert=operator");
  EXPECT_EQ(Error("allow\t/cert=(/\t*\t*\t*").substr(0, 40),
            "puppet.policy:1: bad regular expression:");
  EXPECT_EQ(Error("allow\t/a)|(b/\t*\t*\t*").substr(0, 40),
            "puppet.policy:1: bad regular expression:");
  EXPECT_EQ(Error("allow\t*\trun once * x\t*\t*"), "puppet.policy:1: actions: * stands alone");
  EXPECT_EQ(Error("allow\t*\trun/once\t*\t*"),
            "puppet.policy:1: \"run/once\" is no name of an action");
  EXPECT_EQ(Error("allow\t*\t*\tapache\t*"),
            "puppet.policy:1: facts: \"apache\": column 7: expected an operator such as =, found "
            "the end");
  EXPECT_EQ(Error("allow\t*\t*\t*\trole=web"),
            "puppet.policy:1: classes: \"role=web\": is no class");
  EXPECT_EQ(Error("allow\t*\t*\trole=web and\t*"),
            "puppet.policy:1: column 13: expected a fact, class or \"(\", found the end");
  EXPECT_EQ(Error("allow\t*\t*\ta) or (b\t*"),
            "puppet.policy:1: column 2: expected \"and\", \"or\" or the end, found \")\"");
  EXPECT_EQ(Error("policy default maybe"),
            "puppet.policy:1: expected allow or deny, found \"maybe\"");
  EXPECT_EQ(Error("policy allow"),
            "puppet.policy:1: expected policy default allow or policy default deny");
  EXPECT_EQ(Error("policy default allow\npolicy default deny"),
            "puppet.policy:2: a second policy default");
  EXPECT_EQ(Error("allow\t*\t*\t*\t*\xFF").substr(0, 37), "puppet.policy:1: column 14: not valid");
}

TEST(ActionPolicyTest, AnEmptyColumnShiftsNothing) {
  // A template's empty name: as four fields it would let everybody in, as the original does.
  for (const char* line : {"allow\t\t*\t*\t*", "allow\tcert=a\t\t*\t*", "allow\tcert=a\t*\t*\t",
                           "allow\tcert=a\t*\t\trole=web", "\tallow\t*\t*\t*", "deny\t*\t*\t*\t\r",
                           "allow\t\t\t\t*\t\t*\t\t*"}) {
    EXPECT_EQ(Error(line).substr(0, 49), "puppet.policy:1: four fields and an empty column:")
        << line;
  }
  EXPECT_EQ(Error("allow\t \t*\t*\t*"), "puppet.policy:1: no callers");
  // Columns that are aligned.
  EXPECT_TRUE(Allows("allow\t\tcert=a\t*\t\t\t*\t*", "cert=a"));
  EXPECT_TRUE(Allows("allow\t\tcert=a\t\t*\t\trole=web or x", "cert=a"));
  EXPECT_TRUE(Allows("allow\tcert=a\t*\trole=web or x\r", "cert=a"));
}

TEST(ActionPolicyTest, GroupsAreReadStrictly) {
  const auto error = [](const std::string& groups) {
    return std::string(
        ParseActionPolicy({{"groups", groups}}, ActionNames::kMapped).status().message());
  };
  EXPECT_EQ(error("a cert=x\na cert=y"), "groups:2: group a is defined twice");
  EXPECT_EQ(error("a b"), "groups:1: \"b\" is no caller such as cert=operator");
  EXPECT_EQ(error("cert=a cert=b").substr(0, 18), "groups:1: \"cert=a\"");
  EXPECT_EQ(error("a\n\n# c\nb.c-d_e uid=1 cert=x\n"), "");
}

TEST(ActionPolicyTest, LoadsADirectory) {
  const std::string path = absl::StrCat(getenv("TEST_TMPDIR"), "/policies");
  ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
  std::ofstream(path + "/puppet.policy") << "allow\tops\trunonce\t*\t*\n";
  std::ofstream(path + "/groups") << kGroups;
  std::ofstream(path + "/.hidden.policy") << "nonsense";
  std::ofstream(path + "/puppet.policy.bak") << "nonsense";
  const auto policy = Policy::LoadActionPolicyDirectory(path);
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_EQ(Decided(**policy, "cert=operator", "puppet.run"), Effect::kAllow);
  EXPECT_EQ((*policy)->GroupsOf("cert=operator"), (std::vector<std::string>{"ops"}));
  std::ofstream(path + "/bad name.policy") << "";
  EXPECT_EQ(Policy::LoadActionPolicyDirectory(path).status().message(),
            absl::StrCat(path, "/bad name.policy: not named after an agent"));
  EXPECT_EQ(Policy::LoadActionPolicyDirectory(path + "/none").status().code(),
            absl::StatusCode::kNotFound);
}

// `file:line: what` of each finding.
std::string Linted(const std::string& puppet) {
  std::string out;
  for (const Finding& finding :
       LintActionPolicy({{"puppet.policy", puppet}, {"groups", kGroups}})) {
    absl::StrAppend(&out, out.empty() ? "" : "\n", finding.file, ":", finding.line, ": ",
                    finding.what);
  }
  return out;
}

TEST(LintTest, FindsNothingWhereTheMeaningIsTheSame) {
  EXPECT_EQ(Linted("policy default deny\n# x\n\nallow\tops cert=operator\trunonce\trole=web "
                   "os=Debian\tapache /^r/\n"
                   "deny\t*\t*\t(a=b or c>=4) and !d\n"),
            "");
}

TEST(LintTest, NamesEachDifference) {
  EXPECT_EQ(Linted("allow\tcert=admin2\t*\t*\t*\nallow\tcert=admin\t*\t*\t*"),
            "puppet.policy:1: the original was about cert=admin too: it looked for the caller "
            "anywhere in the field");
  EXPECT_EQ(Linted("allow\t/cert=a/\t*\t*\t*"),
            "puppet.policy:1: caller /cert=a/ must match a caller from end to end");
  EXPECT_EQ(Linted("allow\t*\t*\tcpus>4\t*"),
            "puppet.policy:1: cpus>4: the original compared texts here, where 10 is less than 9, "
            "and took a missing "
            "fact for an empty one");
  EXPECT_EQ(Linted("allow\t*\t*\tcpus>=4\t*"),
            "puppet.policy:1: cpus>=4: the original did not know >= here");
  EXPECT_EQ(Linted("allow\t*\t*\trole=/w/\t*"),
            "puppet.policy:1: role=/w/: the original did not know =~ here");
  EXPECT_EQ(Linted("allow\t*\t*\ta or b and c"),
            "puppet.policy:1: and binds tighter than or here; the original went from left to "
            "right: use parentheses");
  EXPECT_EQ(Linted("allow\t*\t*\ta and b or (c and d)"), "");
  EXPECT_EQ(Linted("allow\t*\t*\ta and !b!=c"),
            "puppet.policy:1: b!=c: the original knew only = < <= > >= and /regex/");
  EXPECT_EQ(Linted("allow\t*\t*\ta and v>1.2.3"),
            "puppet.policy:1: v>1.2.3: the original compared texts here");
  EXPECT_EQ(Linted("allow\t*\t*\ta and foo().x=1"),
            "puppet.policy:1: foo(): a call that a node can't answer denies");
}

TEST(LintTest, NamesFourFieldsWithAStar) {
  EXPECT_EQ(
      Linted("allow\tcert=a\t*\t*"),
      "puppet.policy:1: four fields with a star: the original looked for a class called *, and "
      "the line never applied; here it applies to every node");
}

TEST(LintTest, NamesWhatCanNeverApply) {
  constexpr char kNobody[] =
      " (callers are cert=<common name>, jwt=<issuer>/<subject> and local=insecure)";
  EXPECT_EQ(
      Linted("policy default allow\ndeny\tuid=1000 choria=x\t*\t*\t*"),
      absl::StrCat("puppet.policy:2: no caller here can be choria=x: it denies nobody", kNobody,
                   "\npuppet.policy:2: no caller here can be uid=1000: it denies nobody", kNobody));
  EXPECT_EQ(
      Linted("allow\tcert=a uid=1\trunonce\t*\t*"),
      absl::StrCat("puppet.policy:1: no caller here can be uid=1: it allows nobody", kNobody));
  EXPECT_EQ(Linted("allow\tcert=a\trunall\t*\t*"),
            "puppet.policy:1: there is no action puppet.runall");
  EXPECT_EQ(Linted("allow\tcert=a ops\t*\t*\t*\n\nallow\tcert=a\trunonce\trole=web\t*\n"
                   "allow\tcert=operator\tstatus\t*\t*\nallow\tcert=b\tstatus\t*\t*"),
            "puppet.policy:3: no request reaches it: line 1 decides all of them\n"
            "puppet.policy:4: no request reaches it: line 1 decides all of them");
  EXPECT_EQ(Linted("allow\tcert=a\t*\trole=web\t*\nallow\tcert=a\t*\t*\t*"), "");
  const std::vector<Finding> findings = LintActionPolicy(
      {{"puppet.policy", "policy default allow\ndeny\told\t*\t*\t*\ndeny\t/uid=.*/\tenable\t*\t*"},
       {"groups", "old uid=5\n"}});
  ASSERT_EQ(findings.size(), 3u);
  EXPECT_TRUE(findings[0].error) << "a deny line that fails open";
  EXPECT_EQ(findings[0].what.substr(0, 45), "no caller here can be uid=5 of old: it denies");
  EXPECT_TRUE(findings[2].error);
}

TEST(LintTest, TellsAllMistakesOfAPolicyFile) {
  const std::vector<Finding> findings = LintNative(
      "rule: 1\ngroups: {a: [b], c: [d]}\nrules:\n- {effect: allow, callers: nobody, actions: x}\n"
      "- {effect: deny}\n- {effect: no}\n- 7\n",
      "policy.yaml");
  std::vector<int> lines;
  for (const Finding& finding : findings) {
    EXPECT_TRUE(finding.refused);
    lines.push_back(finding.line);
  }
  EXPECT_EQ(lines, (std::vector<int>{1, 2, 2, 4, 4, 5, 5, 6, 7}));
  EXPECT_EQ(findings[3].what, "callers: `nobody` is no group, and no caller such as cert=operator");
  const std::vector<Finding> useless = LintNative(
      "rules:\n- {effect: deny, callers: uid=0, actions: puppet.run}\n"
      "- {effect: allow, callers: '*', actions: '*', reason: required}\n"
      "- {effect: allow, callers: '*', actions: puppet.*}\n"
      "- {effect: deny, callers: cert=a, actions: [puppet.run, job.get]}\n"
      "- {effect: deny, callers: [cert=a, cert=b], actions: puppet.run}\n",
      "policy.yaml");
  ASSERT_EQ(useless.size(), 2u);
  EXPECT_TRUE(useless[0].error);
  EXPECT_EQ(useless[0].line, 2);
  EXPECT_EQ(useless[1].line, 6);
  EXPECT_EQ(useless[1].what, "no request reaches it: line 4 decides all of them");
}

TEST(EndsTest, AFileThatWasCutIsNotTakenForOneThatWasMarked) {
  const auto native = [](const std::string& text) { return *Policy::ParseNative(text, "p.yaml"); };
  const auto marked = native("rules: []\nend: true\n");
  const auto cut = native("rules: []\n");
  EXPECT_TRUE(CheckEnds(*marked, *marked).ok());
  EXPECT_TRUE(CheckEnds(*cut, *cut).ok());
  EXPECT_TRUE(CheckEnds(*cut, *marked).ok());
  EXPECT_EQ(CheckEnds(*marked, *cut).message(),
            "p.yaml: its end is missing, which the policy in force had marked: was it cut?");
  EXPECT_FALSE(CheckEnds(*cut).ok());
  EXPECT_TRUE(CheckEnds(*marked).ok());
  EXPECT_EQ(Policy::ParseNative("end: true\nrules: []", "p.yaml").status().message(),
            "p.yaml:1: end: it must be the last key");
  EXPECT_EQ(Policy::ParseNative("rules: []\nend: yes", "p.yaml").status().message(),
            "p.yaml:2: end: expected true");
  const auto lines = [](const std::string& text) {
    return *ParseActionPolicy({{"puppet.policy", text}, {"groups", "ops cert=a\n"}},
                              ActionNames::kMapped);
  };
  EXPECT_EQ(lines("allow\tops\t*\t*\t*\n# end\n\n")->Ends(),
            (std::map<std::string, bool>{{"groups", false}, {"puppet.policy", true}}));
  EXPECT_FALSE(
      CheckEnds(*lines("policy default allow\n# end"), *lines("policy default allow\n")).ok());
}

TEST(LintTest, GoesOnBehindABadLine) {
  const std::vector<Finding> findings =
      LintActionPolicy({{"rpcutil.policy", "nonsense\nallow\tnobody\tdaemon_stats\t*\t*\n"},
                        {"groups", "a b\nc cert=d\n"},
                        {"default.policy", ""}});
  ASSERT_EQ(findings.size(), 5u);
  EXPECT_EQ(findings[0].file, "default.policy");
  EXPECT_FALSE(findings[0].refused);
  EXPECT_EQ(findings[1].what, "refused: \"b\" is no caller such as cert=operator");
  EXPECT_TRUE(findings[1].refused);
  EXPECT_EQ(findings[2].line, 1);
  EXPECT_TRUE(findings[2].refused);
  EXPECT_EQ(findings[3].what, "refused: \"nobody\" is no group and no caller");
  EXPECT_EQ(findings[4].what, "action daemon_stats of rpcutil has no counterpart here");
}

TEST(LintTest, SaysWhatOnlyTheWholeShows) {
  const std::vector<Finding> findings =
      LintActionPolicy({{"puppet.policy", "policy default allow\npolicy default deny"}});
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].what, "puppet.policy:2: a second policy default");
  EXPECT_TRUE(findings[0].refused);
}

TEST(ActionPolicyTest, AByteOrderMarkIsNoPartOfTheFirstLine) {
  EXPECT_TRUE(ParseActionPolicy({{"puppet.policy", "\xef\xbb\xbfpolicy default deny\n"},
                                 {"groups", "\xef\xbb\xbfops cert=a\n"}},
                                ActionNames::kMapped)
                  .ok());
}

}  // namespace
}  // namespace orch::policy
