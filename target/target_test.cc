// SPDX-License-Identifier: Apache-2.0
#include "target/target.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace orch::target {
namespace {

using nlohmann::json;
using Missing = Condition::MissingFacts;

// A node that answers some calls and counts them.
struct FakeNode : NodeData {
  FakeNode() {
    identity_value = "web1.example.com";
    facts_value = {{"role", "web"}, {"cpus", 4}, {"os", {{"family", "Debian"}}}};
    classes_value = {"apache", "role::web"};
    actions_value = {"node.ping", "puppet.run", "puppet.status"};
  }
  absl::StatusOr<json> Answer(const Call& call) const override {
    ++calls;
    if (call.name == "puppet" && call.field == "enabled") return json(true);
    if (call.name == "puppet" && call.field == "disable_message") return json();
    if (call.name == "fstat") return absl::UnavailableError("fstat() is answered by the node only");
    return absl::InvalidArgumentError(absl::StrCat(call.name, "(): there is no such call"));
  }
  mutable int calls = 0;
};

Match Select(const NodeView& node, const std::string& expression) {
  orch::v1::Target proto;
  proto.add_select(expression);
  const absl::StatusOr<Target> target = Target::Compile(proto);
  EXPECT_TRUE(target.ok()) << target.status();
  return target->Evaluate(node);
}

Truth Holds(const NodeView& node, const std::string& expression) {
  return Select(node, expression).truth;
}

TEST(TargetTest, EmptyIsEverybodyOfTheCollective) {
  const Target target;
  EXPECT_TRUE(target.empty());
  EXPECT_EQ(target.collective(), "main");
  EXPECT_EQ(target.Print(), "");
  FakeNode node;
  EXPECT_EQ(target.Evaluate(node).truth, Truth::kTrue);
  node.collectives_value = {"dmz"};
  EXPECT_EQ(target.Evaluate(node).truth, Truth::kFalse);
  EXPECT_EQ(target.Evaluate(node).why, "not in collective main");
}

TEST(TargetTest, KindsAndEntriesAreAndIdentitiesOr) {
  const FakeNode node;
  orch::v1::Target proto;
  proto.add_facts("role=web");
  proto.add_facts("cpus>=2");
  proto.add_classes("/^role/");
  proto.add_actions("puppet");
  proto.add_identities("other");
  proto.add_identities("/^web1/");
  proto.add_select("apache and not mysql");
  EXPECT_EQ(Target::Compile(proto)->Evaluate(node).truth, Truth::kTrue);
  for (auto* list : {proto.mutable_facts(), proto.mutable_classes(), proto.mutable_actions(),
                     proto.mutable_select()}) {
    orch::v1::Target before = proto;
    *list->Add() = list == proto.mutable_facts() ? "role=db" : "mysql";
    EXPECT_EQ(Target::Compile(proto)->Evaluate(node).truth, Truth::kFalse);
    list->RemoveLast();
  }
}

TEST(TargetTest, PlainIdentitiesNeverDisableOtherFilters) {
  const FakeNode node;
  orch::v1::Target proto;
  proto.add_identities("web1.example.com");
  EXPECT_EQ(Target::Compile(proto)->Evaluate(node).truth, Truth::kTrue);
  proto.add_facts("role=db");
  EXPECT_EQ(Target::Compile(proto)->Evaluate(node).truth, Truth::kFalse);
}

TEST(TargetTest, ActionsMatchByNameGroupOrRegex) {
  const FakeNode node;
  const auto offers = [&node](const std::string& action) {
    orch::v1::Target proto;
    proto.add_actions(action);
    return Target::Compile(proto)->Evaluate(node).truth == Truth::kTrue;
  };
  EXPECT_TRUE(offers("puppet"));
  EXPECT_TRUE(offers("puppet.run"));
  EXPECT_TRUE(offers("/^pup/"));
  EXPECT_TRUE(offers("/^puppet$/"));
  EXPECT_TRUE(offers("/status$/"));
  EXPECT_FALSE(offers("pup"));
  EXPECT_FALSE(offers("puppet.enable"));
  EXPECT_FALSE(offers("/^run/"));
}

TEST(TargetTest, AMissingFactIsFalseForEveryOperator) {
  const FakeNode node;
  for (const char* text : {"no=x", "no!=x", "no<x", "no>=0", "no=~x", "no!~x", "os.no!=x"}) {
    EXPECT_EQ(Holds(node, text), Truth::kFalse) << text;
    EXPECT_EQ(Holds(node, absl::StrCat("not ", text)), Truth::kTrue) << text;
  }
}

TEST(TargetTest, AnswersCallsFromTheView) {
  const FakeNode node;
  for (const char* text :
       {"fact('os.family').value=Debian", "fact('role').exists=true", "fact('no').exists=false",
        "fact('cpus')=4", "class('apache')=true", "class('mysql')=false", "action('puppet')=true",
        "action('puppet.run')=true", "collective('main')=true", "collective('dmz')!=true",
        "puppet().enabled=true", "not puppet().disable_message=/./",
        "fact('no').value=x or apache"}) {
    EXPECT_EQ(Holds(node, text), Truth::kTrue) << text;
  }
  EXPECT_EQ(Holds(node, "fact('no').value!=x"), Truth::kFalse);
}

TEST(TargetTest, VersionsAreComparedAsVersionsWhereAsked) {
  NodeData node;
  const auto holds = [&node](const std::string& value, const std::string& text) {
    node.facts_value = {{"release", value}};
    return Holds(node, text) == Truth::kTrue;
  };
  // The classic operators keep MCollective's meaning.
  EXPECT_FALSE(holds("7.23.0", "release>=7.9"));
  EXPECT_TRUE(holds("7.9.2009", "release>=7.10"));
  EXPECT_TRUE(holds("7.23.0", "version('release').value>=7.9"));
  EXPECT_FALSE(holds("7.9.2009", "version('release').value>=7.10"));
  EXPECT_TRUE(holds("7.9", "version('release').value<7.10"));
  EXPECT_TRUE(holds("7.9", "version('release').value=7.9"));
  EXPECT_FALSE(holds("7.9.0", "version('release').value=7.9"));
  EXPECT_TRUE(holds("7.9.0", "version(\"release\").value!='7.9'"));
  node.facts_value = {{"release", {"7.8", "7.23"}}, {"number", 12}};
  EXPECT_EQ(Holds(node, "version('release').value>7.9"), Truth::kTrue) << "any element";
  EXPECT_EQ(Holds(node, "version('number').value>7.9"), Truth::kTrue);
  EXPECT_EQ(Holds(node, "version('none').value>7.9"), Truth::kFalse);
  for (const char* bad : {"version('release')>=7.9", "version('release').exists=true",
                          "version().value>=7.9", "version('release').value=~/7/"}) {
    EXPECT_FALSE(Condition::Compile(bad).ok()) << bad;
  }
  EXPECT_EQ(Condition::Compile("version('release').value>=7.9")->Print(),
            "version(\"release\").value>=7.9");
}

TEST(TargetTest, ACallThatCannotBeAnsweredMakesTheWholeFalse) {
  const FakeNode node;
  for (const char* text : {"foo().x=1", "!foo().x=1", "apache or foo().x=1", "foo().x=1 or apache",
                           "not (mysql and foo().x=1)", "fact('role').size=1",
                           "class('apache').x=1", "!(apache or (mysql and foo()=1))"}) {
    const Match match = Select(node, text);
    EXPECT_EQ(match.truth, Truth::kFalse) << text;
    EXPECT_NE(match.why, "") << text;
  }
  EXPECT_EQ(Select(node, "!foo().x=1").why, "foo(): there is no such call");
  EXPECT_EQ(Select(node, "fact('role').size=1").why, "fact() has exists and value, not \"size\"");
  // Not the clause that asks, but the target: another clause that is true does not save it.
  orch::v1::Target proto;
  proto.add_facts("role=web");
  proto.add_select("!foo().x=1");
  EXPECT_EQ(Target::Compile(proto)->Evaluate(node).truth, Truth::kFalse);
}

TEST(TargetTest, WhatOnlyTheNodeKnowsIsUnknown) {
  FakeNode node;
  EXPECT_EQ(Holds(node, "fstat('/x').size>0"), Truth::kUnknown);
  EXPECT_EQ(Holds(node, "not fstat('/x').size>0"), Truth::kUnknown);
  EXPECT_EQ(Holds(node, "apache and fstat('/x').size>0"), Truth::kUnknown);
  EXPECT_EQ(Holds(node, "apache or fstat('/x').size>0"), Truth::kTrue);
  EXPECT_EQ(Holds(node, "mysql and fstat('/x').size>0"), Truth::kFalse);
  EXPECT_EQ(Holds(node, "fstat('/x').size>0 and mysql"), Truth::kFalse);
  EXPECT_EQ(Holds(node, "fstat('/x').size>0 and foo()=1"), Truth::kFalse);
  EXPECT_EQ(Select(node, "fstat('/x').size>0").why,
            "fstat(/x).size is greater than 0: fstat() is answered by the node only");
  node.facts_known = false;
  EXPECT_EQ(Holds(node, "role=web"), Truth::kUnknown);
  EXPECT_EQ(Holds(node, "not role=web"), Truth::kUnknown);
  EXPECT_EQ(Holds(node, "apache"), Truth::kUnknown);
  EXPECT_EQ(Holds(node, "/^a/ or fact('role').exists=true"), Truth::kUnknown);
  EXPECT_EQ(Holds(node, "class('apache')=true"), Truth::kUnknown);
  orch::v1::Target proto;
  proto.add_facts("role=web");
  proto.add_identities("other");
  EXPECT_EQ(Target::Compile(proto)->Evaluate(node).truth, Truth::kFalse);
}

TEST(TargetTest, CallsAreNotMadeOnceAClauseIsFalse) {
  const FakeNode node;
  orch::v1::Target proto;
  proto.add_facts("role=db");
  proto.add_select("puppet().enabled=true");
  EXPECT_EQ(Target::Compile(proto)->Evaluate(node).truth, Truth::kFalse);
  EXPECT_EQ(node.calls, 0);
}

TEST(TargetTest, ErrorsNameTheClause) {
  const auto error = [](const orch::v1::Target& proto) {
    return std::string(Target::Compile(proto).status().message());
  };
  orch::v1::Target proto;
  proto.add_select("apache and   or x");
  EXPECT_EQ(error(proto), "select: column 14: expected a fact, class or \"(\", found \"or\"");
  proto.clear_select();
  proto.add_facts("a=1");
  proto.add_facts("b");
  EXPECT_EQ(error(proto), "facts[1]: column 2: expected an operator such as =, found the end");
  proto.clear_facts();
  proto.add_identities("/[/");
  EXPECT_EQ(error(proto), "identities: column 2: bad regular expression: missing ]: [");
  proto.clear_identities();
  proto.set_collective("Main");
  EXPECT_EQ(error(proto), "collective: a name is made of a-z, 0-9, _ and -, at most 32 of them");
}

TEST(TargetTest, LimitsHoldForTheTargetAsAWhole) {
  orch::v1::Target proto;
  for (int i = 0; i < 200; ++i) proto.add_facts("a=1");
  EXPECT_TRUE(Target::Compile(proto).ok());
  for (int i = 0; i < 57; ++i) proto.add_select("a");
  EXPECT_EQ(Target::Compile(proto).status().message(), "select[56]: column 1: more than 256 terms");
  for (int i = 0; i < 57; ++i) proto.add_facts("a=1");
  EXPECT_EQ(Target::Compile(proto).status().message(), "facts: more than 256 of them");
  proto.Clear();
  for (int i = 0; i < 10'000; ++i) proto.add_identities(absl::StrCat("node", i));
  FakeNode node;
  node.identity_value = "node9999";
  EXPECT_EQ(Target::Compile(proto)->Evaluate(node).truth, Truth::kTrue);
  node.identity_value = "node10000";
  EXPECT_EQ(Target::Compile(proto)->Evaluate(node).truth, Truth::kFalse);
}

TEST(TargetTest, ExplainsClauseByClause) {
  orch::v1::Target proto;
  proto.set_collective("dmz");
  proto.add_facts("os.family=Debian");
  proto.add_classes("/^role/");
  proto.add_actions("puppet");
  for (const char* name : {"a", "b", "/^c/", "d", "e", "f", "g"}) proto.add_identities(name);
  proto.add_select("role=web and nginx");
  const absl::StatusOr<Target> target = Target::Compile(proto);
  ASSERT_TRUE(target.ok());
  ASSERT_EQ(target->clause_count(), 5u);
  EXPECT_EQ(target->ClauseWords(0),
            "identity is a or b or one matching /^c/ or d or e or one of 2 more");
  EXPECT_EQ(target->ClauseWords(1), "fact os.family is \"Debian\"");
  EXPECT_EQ(target->ClauseWords(2), "a class matching /^role/");
  EXPECT_EQ(target->ClauseWords(3), "offers action puppet");
  EXPECT_EQ(target->ClauseWords(4), "fact role is \"web\" and class nginx");
  EXPECT_EQ(
      target->Print(),
      "-I a -I b -I \"/^c/\" -I d -I e -I f -I g -F os.family=Debian -C \"/^role/\" -A puppet "
      "-S \"role=web and nginx\" -T dmz");
  const FakeNode node;
  EXPECT_EQ(target->EvaluateClause(0, node).truth, Truth::kFalse);
  EXPECT_EQ(target->EvaluateClause(1, node).truth, Truth::kTrue);
  EXPECT_EQ(target->EvaluateClause(4, node).why, "not so: fact role is \"web\" and class nginx");
}

TEST(ConditionTest, MissingFactsAreFalseOrUnknown) {
  const FakeNode node;
  const auto truth = [&node](absl::string_view text, Missing missing) {
    return Condition::Compile(text)->Evaluate(node, missing).truth;
  };
  EXPECT_EQ(truth("env!=dev", Missing::kFalse), Truth::kFalse);
  EXPECT_EQ(truth("env!=dev", Missing::kUnknown), Truth::kUnknown);
  EXPECT_EQ(truth("not env=dev", Missing::kUnknown), Truth::kUnknown);
  EXPECT_EQ(truth("env=dev and mysql", Missing::kUnknown), Truth::kFalse);
  EXPECT_EQ(truth("env=dev or apache", Missing::kUnknown), Truth::kTrue);
  EXPECT_EQ(truth("fact('env').exists=false", Missing::kUnknown), Truth::kTrue);
  EXPECT_EQ(truth("fact('env').value=x", Missing::kUnknown), Truth::kUnknown);
  EXPECT_EQ(truth("foo().x=1", Missing::kFalse), Truth::kUnknown);
  EXPECT_EQ(truth("!foo().x=1", Missing::kUnknown), Truth::kUnknown);
  EXPECT_EQ(truth("apache or foo().x=1", Missing::kUnknown), Truth::kTrue);
}

TEST(ConditionTest, TellsWhatIsMissingFromWhatIsNotKnown) {
  FakeNode node;
  const absl::StatusOr<Condition> condition = Condition::Compile("env=dev");
  EXPECT_FALSE(condition->Evaluate(node, Missing::kUnknown).unavailable);
  node.facts_known = false;
  EXPECT_TRUE(condition->Evaluate(node, Missing::kUnknown).unavailable);
  EXPECT_EQ(condition->Evaluate(node, Missing::kFalse).why, "facts are not known");
}

TEST(NodeDataTest, WhatNoNodeCouldAnswerIsNoMatch) {
  NodeData node;
  node.classes_value = {"nginx"};
  const auto match = [&node](const std::string& select) {
    orch::v1::Target proto;
    proto.add_select(select);
    return Target::Compile(proto)->Evaluate(node);
  };
  EXPECT_EQ(match("nginx").truth, Truth::kTrue);
  EXPECT_EQ(match("nginx or foo().x=1").truth, Truth::kFalse);
  EXPECT_EQ(match("nginx or foo().x=1").why, "no node knows foo()");
  EXPECT_EQ(match("puppet().nosuch=1 or nginx").why, "puppet() has no field `nosuch`");
  EXPECT_EQ(match("resource('File[/x]').enabled=1 or nginx").truth, Truth::kFalse);
  EXPECT_EQ(match("fstat('/x').size>0").truth, Truth::kUnknown);
  EXPECT_EQ(match("puppet().enabled=true or nginx").truth, Truth::kTrue);
}

}  // namespace
}  // namespace orch::target
