// SPDX-License-Identifier: Apache-2.0
#include "target/observe.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "target/parse.h"
#include "target/target.h"

namespace orch::target {
namespace {

using nlohmann::json;

struct Node : NodeData {
  Node() {
    identity_value = "web1";
    facts_value = {{"role", "web"},
                   {"cpus", 4},
                   {"virtual", true},
                   {"version", "7.23.0"},
                   {"disks", {"sda", {{"name", "sdb"}}, json::array()}},
                   {"os", {{"family", "Debian"}, {"release", {{"major", "12"}}}}},
                   {"empty", json::object()},
                   {"text", std::string(200, 'x')},
                   {"odd", "a\"b\xFF\n"}};
    classes_value = {"apache", "role::web"};
    actions_value = {"node.ping", "puppet.run"};
  }
  absl::StatusOr<json> Answer(const Call& call) const override {
    if (call.name == "puppet") return json("idling");
    if (call.name == "resource") return json();
    if (call.name == "fstat") return absl::UnavailableError("fstat() is answered by the node only");
    return absl::NotFoundError("there is no such call");
  }
};

std::string Seen(const std::string& expression, const NodeView& node = Node()) {
  Budget budget;
  const absl::StatusOr<ExpressionPtr> tree = ParseExpression(expression, &budget);
  EXPECT_TRUE(tree.ok()) << tree.status();
  Evaluation evaluation(node, /*missing_is_unknown=*/false);
  return Observe(**tree, &evaluation);
}

TEST(ObserveTest, SaysWhatTheFactsAre) {
  EXPECT_EQ(Seen("role=db"), "role is \"web\"");
  EXPECT_EQ(Seen("cpus>8"), "cpus is 4");
  EXPECT_EQ(Seen("virtual=false"), "virtual is true");
  EXPECT_EQ(Seen("country=de"), "there is no fact country");
  EXPECT_EQ(Seen("os.release.major=11"), "os.release.major is \"12\"");
  EXPECT_EQ(Seen("disks=sdc"), "disks is a list: [\"sda\", {...}, [...]]");
  EXPECT_EQ(Seen("os=x"), "os is a map with the keys \"family\", \"release\"");
  EXPECT_EQ(Seen("empty=x"), "empty is an empty map");
  EXPECT_EQ(Seen("version>=7.9"), "version is \"7.23.0\", compared with 7.9 in byte order");
  EXPECT_EQ(Seen("version>=7.9.0"), "version is \"7.23.0\"");
  EXPECT_EQ(Seen("version('version').value>=7.9"), "version('version').value is \"7.23.0\"");
  EXPECT_EQ(Seen("version('nope').value>=7.9"), "there is no fact nope");
}

TEST(ObserveTest, SaysEachAtomOnceInItsOrder) {
  EXPECT_EQ(Seen("role=db or (not role=lb and nginx) or apache"),
            "role is \"web\"; class nginx is not there; class apache is there");
  EXPECT_EQ(Seen("/^role/ or /^db/"),
            "class role::web matches /^role/; none of 2 classes matches /^db/");
}

TEST(ObserveTest, SaysWhatCallsAnswer) {
  EXPECT_EQ(Seen("puppet().status=stopped"), "puppet().status is \"idling\"");
  EXPECT_EQ(Seen("fact('cpus').value=5"), "fact('cpus').value is 4");
  EXPECT_EQ(Seen("resource('File[/x]').managed=true"), "resource('File[/x]').managed has no value");
  EXPECT_EQ(Seen("fstat('/x').size>0"), "only the node knows fstat('/x').size");
  EXPECT_EQ(Seen("foo()=1"), "foo(): there is no such call");
}

TEST(ObserveTest, IsShortAndCleanWhateverTheNodeHas) {
  EXPECT_EQ(Seen("text=x"), "text is \"" + std::string(64, 'x') + "\xE2\x80\xA6\"");
  EXPECT_EQ(Seen("odd=x"), "odd is \"a\\\"b\xEF\xBF\xBD\\n\"");
  std::string many = "f0=1";
  for (int i = 1; i < 200; ++i) many += " or f" + std::to_string(i) + "=1";
  const std::string seen = Seen(many);
  EXPECT_LT(seen.size(), 600u);
  EXPECT_TRUE(absl::EndsWith(seen, "; \xE2\x80\xA6")) << seen;
  Node node;
  node.facts_value = {{"f", std::vector<std::string>(100'000, std::string(10, 'y'))}};
  EXPECT_LT(Seen("f=x", node).size(), 200u);
}

TEST(ObserveTest, NamesWhatIsNotKnown) {
  Node node;
  node.facts_known = false;
  EXPECT_EQ(Seen("role=x and apache", node), "facts are not known; classes are not known");
  EXPECT_EQ(Seen("/x/", node), "classes are not known");
}

TEST(ObserveTest, CoversEveryKindOfClause) {
  orch::v1::Target proto;
  proto.add_identities("db1");
  proto.add_actions("service");
  proto.add_classes("nginx");
  const absl::StatusOr<Target> target = Target::Compile(proto);
  ASSERT_TRUE(target.ok());
  Node node;
  EXPECT_EQ(target->ObserveClause(0, node), "identity is web1");
  EXPECT_EQ(target->ObserveClause(1, node), "class nginx is not there");
  EXPECT_EQ(target->ObserveClause(2, node), "offers node.ping, puppet.run");
  node.actions_value.clear();
  EXPECT_EQ(target->ObserveClause(2, node), "offers no action");
  for (int i = 0; i < 10; ++i) node.actions_value.push_back("a.b" + std::to_string(i));
  EXPECT_TRUE(absl::EndsWith(target->ObserveClause(2, node), "a.b7 and 2 more"));
}

}  // namespace
}  // namespace orch::target
