// SPDX-License-Identifier: Apache-2.0
#include "cli/node_text.h"

#include <gtest/gtest.h>

#include <sstream>

#include "api/json.h"
#include "cli/text.h"

namespace orch::cli {
namespace {

using nlohmann::json;
using orch::v1::Node;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

void Set(absl::Time time, google::protobuf::Timestamp* out) {
  out->set_seconds(absl::ToUnixSeconds(time));
}

Node Web1() {
  Node node;
  node.set_identity("web1");
  node.set_state(orch::v1::ROSTER_STATE_PRESENT);
  Set(kNow - absl::Seconds(4), node.mutable_last_seen());
  node.set_version("1.2.3");
  node.set_protocol_min(1);
  node.set_protocol_max(2);
  node.add_collectives("main");
  node.add_actions()->set_name("puppet.run");
  node.add_actions()->set_name("node.ping");
  node.mutable_puppet()->set_status("idling");
  node.mutable_puppet()->set_enabled(true);
  node.mutable_puppet()->set_daemon_present(true);
  node.mutable_puppet()->set_message("Currently idling; last completed run 5m ago");
  node.mutable_clock_skew()->set_nanos(-12'000'000);
  Set(kNow + absl::Hours(24 * 300), node.mutable_certificate_end_time());
  *node.mutable_facts() = api::ToStruct({{"os", {{"family", "Debian"}}}, {"cpus", 4}});
  node.add_classes("nginx");
  Set(kNow - absl::Minutes(10), node.mutable_facts_time());
  return node;
}

class NodeTextTest : public testing::Test {
 protected:
  NodeTextTest() { setenv("TZ", "UTC", 1); }
  std::string Text(const Node& node, bool wide = false) {
    return NodeText(node, terminal_, kNow, wide);
  }
  std::ostringstream out_, err_;
  Terminal terminal_{out_, err_};
};

TEST_F(NodeTextTest, ShowsEverything) {
  EXPECT_EQ(Text(Web1()),
            "web1  PRESENT\n"
            "  last seen         4.0 s ago (2027-01-15 07:59:56 +00:00)\n"
            "  clock skew        -12 ms\n"
            "  certificate ends  2027-11-11 08:00:00 +00:00 (in 300 d)\n"
            "  version           1.2.3, protocol 1-2\n"
            "  collectives (1)   main\n"
            "  puppet            idle\n"
            "  actions (2)       node.ping, puppet.run\n"
            "  classes (1)       nginx\n"
            "  facts (2, read 2027-01-15 07:50:00 +00:00)\n"
            "    cpus = 4\n"
            "    os.family = Debian\n");
}

TEST_F(NodeTextTest, WarnsOfWhatIsWrong) {
  Node node = Web1();
  Set(kNow + absl::Hours(24 * 59), node.mutable_certificate_end_time());
  Set(kNow - absl::Hours(1), node.mutable_deaf_time());
  auto* error = node.add_fact_errors();
  error->set_source("/etc/facts.d/a.sh");
  error->set_message("exit 1: \x1b[2Jno such file");
  Set(kNow - absl::Minutes(7), error->mutable_since());
  node.mutable_puppet()->set_enabled(false);
  node.mutable_puppet()->set_disable_message("back at noon");
  auto* refusal = node.add_controller_refusals();
  refusal->set_controller("ctl2");
  refusal->set_reason("controllers: lacks it");
  Set(kNow - absl::Minutes(3), refusal->mutable_time());
  Set(kNow - absl::Minutes(2), node.mutable_puppet()->mutable_last_run());
  auto* last = node.mutable_puppet()->mutable_last_run_digest();
  last->set_verdict(orch::v1::PUPPET_RUN_VERDICT_FAILED);
  last->mutable_resources()->set_total(20);
  last->mutable_resources()->set_failed(1);
  last->set_environment("staging");
  last->set_job("jobs/X");
  last->set_caller("cert=alice");
  const std::string text = Text(node);
  EXPECT_NE(text.find("! refuses controller ctl2, 3m00s ago: controllers: lacks it\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("  last run          FAILED 2m00s ago: 1 failed of 20 resources, staging, "
                      "jobs/X of cert=alice\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("(in 59 d) renew it"), std::string::npos) << text;
  EXPECT_NE(text.find("! heard no controller and reconnected, 1h00m ago"), std::string::npos);
  EXPECT_NE(
      text.find("! fact source /etc/facts.d/a.sh fails since 2027-01-15 07:53:00 +00:00: exit 1: "
                "\\x1b[2Jno such file\n"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("disabled: back at noon"), std::string::npos);
  Set(kNow - absl::Seconds(1), node.mutable_certificate_end_time());
  EXPECT_NE(Text(node).find("(has ended)"), std::string::npos);
}

TEST_F(NodeTextTest, AFreshNodeHasDashes) {
  Node node;
  node.set_identity("new");
  const std::string text = Text(node);
  EXPECT_NE(text.find("clock skew        -\n"), std::string::npos) << text;
  EXPECT_NE(text.find("certificate ends  -\n"), std::string::npos) << text;
  EXPECT_NE(text.find("last seen         - (-)\n"), std::string::npos) << text;
  EXPECT_NE(text.find("facts (0, read -)\n"), std::string::npos) << text;
}

TEST_F(NodeTextTest, SkewIsShownToTheMillisecond) {
  Node node;
  EXPECT_EQ(SkewText(node), "-");
  node.mutable_clock_skew();
  EXPECT_EQ(SkewText(node), "+0 ms");
  node.mutable_clock_skew()->set_nanos(999'000'000);
  EXPECT_EQ(SkewText(node), "+999 ms");
  node.mutable_clock_skew()->set_seconds(75);
  EXPECT_EQ(SkewText(node), "+75.999 s");
  node.mutable_clock_skew()->set_seconds(-75);
  node.mutable_clock_skew()->set_nanos(-20'000'000);
  EXPECT_EQ(SkewText(node), "-75.020 s");
}

TEST_F(NodeTextTest, ListsBreakWhereTheTerminalEnds) {
  Node node = Web1();
  for (int i = 0; i < 40; ++i) node.add_classes("profile::class" + std::to_string(i));
  terminal_.out_is_tty = true;
  terminal_.width = 80;
  const std::string text = Text(node);
  for (absl::string_view rest = text; !rest.empty();) {
    const size_t end = rest.find('\n');
    EXPECT_LE(Columns(rest.substr(0, end)), 80u) << rest.substr(0, end);
    rest.remove_prefix(end + 1);
  }
}

TEST_F(NodeTextTest, LongFactsAreCutOnATerminalAlone) {
  Node node = Web1();
  *node.mutable_facts() = api::ToStruct({{"long", std::string(500, 'x')}});
  EXPECT_NE(Text(node).find(std::string(500, 'x')), std::string::npos);
  terminal_.out_is_tty = true;
  EXPECT_EQ(Text(node).find(std::string(500, 'x')), std::string::npos);
  EXPECT_NE(Text(node).find("xxx...\n"), std::string::npos);
  EXPECT_NE(Text(node, true).find(std::string(500, 'x')), std::string::npos);
}

TEST_F(NodeTextTest, FactsAreFlatAsTargetsNameThem) {
  const json facts = {{"b", {{"z", true}, {"y", {{"x", 1}}}}},
                      {"list", {1, "a"}},
                      {"deep", {{{"k", "v"}}, 2}},
                      {"a.b", "dotted"},
                      {"none", nullptr},
                      {"empty", json::object()},
                      {"n10", 1},
                      {"n9", 1}};
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(Flattened(facts), (Pairs{{"a.b", "dotted"},
                                     {"b.y.x", "1"},
                                     {"b.z", "true"},
                                     {"deep.0.k", "v"},
                                     {"deep.1", "2"},
                                     {"empty", "{}"},
                                     {"list", "[1,\"a\"]"},
                                     {"n9", "1"},
                                     {"n10", "1"},
                                     {"none", "null"}}));
  EXPECT_TRUE(Flattened(json::object()).empty());
}

TEST_F(NodeTextTest, TheRosterMarksWhoIsAway) {
  google::protobuf::RepeatedPtrField<Node> nodes;
  *nodes.Add() = Web1();
  *nodes.Add() = Web1();
  nodes[1].set_identity("db1");
  nodes[1].set_state(orch::v1::ROSTER_STATE_STALE);
  Set(kNow - absl::Hours(50), nodes[1].mutable_last_seen());
  nodes[1].add_fact_errors()->set_source("facter");
  Grid grid = NodeGrid(nodes, terminal_, kNow);
  EXPECT_EQ(grid.Print(true, kNodeColumns),
            "NODE  STATE    LAST SEEN  VERSION  PUPPET  LAST RUN\n"
            "web1  PRESENT  4.0 s ago  1.2.3    idle    -\n"
            "db1   STALE    2 d ago    1.2.3    idle    -\n");
  ASSERT_TRUE(grid.SortBy("last-seen").ok());
  EXPECT_EQ(grid.Row(0)[0], "web1");
  ASSERT_TRUE(grid.SortBy("-last-seen").ok());
  EXPECT_EQ(grid.Row(0)[0], "db1");
  EXPECT_EQ(grid.Row(0)[10], "facter");
  EXPECT_EQ(NodeCounts(nodes), "2 nodes: 1 present, 1 stale");
  terminal_.color = true;
  EXPECT_NE(NodeGrid(nodes, terminal_, kNow).Print(true, 2).find("\x1b[33mSTALE\x1b[0m"),
            std::string::npos);
}

TEST_F(NodeTextTest, AnInventoryStandsWithoutTheController) {
  orch::v1::JobNode node;
  node.set_node("web1");
  auto& inventory = *node.mutable_result()->mutable_node_inventory();
  inventory.set_version("1.2.3");
  inventory.add_classes("evil\nclass");
  *inventory.mutable_facts() = api::ToStruct({{"key\x1b[2J", "value"}});
  EXPECT_EQ(InventoryText(node, nullptr, terminal_, kNow, false),
            "web1\n"
            "  version           1.2.3\n"
            "  collectives (0)   -\n"
            "  puppet            -\n"
            "  actions (0)       -\n"
            "  classes (1)       evil class\n"
            "  facts (1, read -)\n"
            "    key\\x1b[2J = value\n");
  const Node known = Web1();
  EXPECT_EQ(InventoryText(node, &known, terminal_, kNow, false).rfind("web1  PRESENT\n", 0), 0u);
}

}  // namespace
}  // namespace orch::cli
