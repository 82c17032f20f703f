// SPDX-License-Identifier: Apache-2.0
#include "cli/report.h"

#include <gtest/gtest.h>

#include <sstream>

#include "api/json.h"
#include "cli/text.h"

namespace orch::cli {
namespace {

using nlohmann::json;

orch::v1::JobNode Inventory(const std::string& name, const json& facts,
                            const std::vector<std::string>& classes) {
  orch::v1::JobNode node;
  node.set_node(name);
  node.set_state(orch::v1::NODE_STATE_SUCCEEDED);
  auto& inventory = *node.mutable_result()->mutable_node_inventory();
  inventory.set_version("1.2.3");
  *inventory.mutable_facts() = api::ToStruct(facts);
  for (const std::string& name_of : classes) inventory.add_classes(name_of);
  inventory.add_actions("node.ping");
  inventory.add_actions("puppet.run");
  inventory.add_collectives("main");
  inventory.mutable_puppet()->set_status("idling");
  inventory.mutable_puppet()->set_enabled(true);
  return node;
}

const json kWeb = {{"os", {{"family", "Debian"}, {"release", "12"}}},
                   {"cpus", 16},
                   {"disks", {{{"size", 1}}, {{"size", 2}}}},
                   {"roles", {"web", "cache"}},
                   {"a.b", {{"c", "inner"}}}};
const json kDb = {{"os", {{"family", "RedHat"}}}, {"cpus", 4}};

class ReportTest : public testing::Test {
 protected:
  std::string Print(const std::string& format, const std::string& columns = "",
                    const std::string& sort_by = "", bool wide = false, bool headers = true) {
    absl::StatusOr<Report> report = Report::Parse(format, columns);
    EXPECT_TRUE(report.ok()) << report.status();
    if (!report.ok()) return "";
    EXPECT_TRUE(report->CheckSortBy(sort_by).ok()) << report->CheckSortBy(sort_by);
    for (const orch::v1::JobNode& node : nodes_) report->Add(node);
    return report->Print(terminal_, sort_by, wide, headers);
  }
  static std::string Error(const std::string& format, const std::string& columns = "") {
    const auto report = Report::Parse(format, columns);
    return report.ok() ? "" : std::string(report.status().message());
  }

  std::vector<orch::v1::JobNode> nodes_ = {Inventory("web10", kWeb, {"nginx", "settings"}),
                                           Inventory("db1", kDb, {"settings"})};
  std::ostringstream out_, err_;
  Terminal terminal_{out_, err_};
};

TEST_F(ReportTest, ColumnsAreATableByName) {
  EXPECT_EQ(Print("", "identity,facts.os.family,cores=facts.cpus,facts.os.release"),
            "identity  facts.os.family  cores  facts.os.release\n"
            "db1       RedHat           4      -\n"
            "web10     Debian           16     12\n");
  EXPECT_EQ(Print("table:facts.cpus", "", "-facts.cpus", false, false), "16\n4\n");
  EXPECT_EQ(Print("table:facts.cpus", "", "identity", false, false), "4\n16\n");
}

TEST_F(ReportTest, EverythingThatANodeKnowsCanBeAColumn) {
  const auto cell = [&](const std::string& column) {
    const std::string text = Print("csv:" + column, "", "", false, false);
    return text.substr(text.find('\n') + 1);  // web10's
  };
  EXPECT_EQ(cell("version"), "1.2.3\n");
  EXPECT_EQ(cell("classes"), "\"nginx, settings\"\n");
  EXPECT_EQ(cell("classes.nginx"), "true\n");
  EXPECT_EQ(cell("classes.apache"), "false\n");
  EXPECT_EQ(cell("actions"), "\"node.ping, puppet.run\"\n");
  EXPECT_EQ(cell("actions.puppet.run"), "true\n");
  EXPECT_EQ(cell("collectives"), "main\n");
  EXPECT_EQ(cell("puppet"), "idling\n");
  EXPECT_EQ(cell("puppet.enabled"), "true\n");
  EXPECT_EQ(cell("facts.roles"), "\"web, cache\"\n");
  EXPECT_EQ(cell("facts.roles.1"), "cache\n");
  EXPECT_EQ(cell("facts.disks.0.size"), "1\n");
  EXPECT_EQ(cell("facts.a.b.c"), "inner\n");  // a key with a dot, as a target finds it
  EXPECT_EQ(cell("facts.os"), "\"{\"\"family\"\":\"\"Debian\"\",\"\"release\"\":\"\"12\"\"}\"\n");
  EXPECT_EQ(cell("facts.none"), "\n");
  EXPECT_EQ(cell("facts_time"), "\n");
}

TEST_F(ReportTest, CsvHasAHeaderAndQuotes) {
  nodes_ = {Inventory("a", {{"x", "say \"hi\", twice"}}, {}), Inventory("b", {{"x", " edge"}}, {})};
  const std::string columns = "identity,\"the \"\"x\"\", quoted=facts.x\"";
  EXPECT_EQ(Print("csv", columns), Print("csv:" + columns));
  EXPECT_EQ(Print("csv", columns).substr(0, 31), "identity,\"the \"\"x\"\", quoted\"\na,");
  EXPECT_EQ(Print("csv", "identity,facts.x"),
            "identity,facts.x\na,\"say \"\"hi\"\", twice\"\nb,\" edge\"\n");
  EXPECT_EQ(Print("csv", "identity", "", false, false), "a\nb\n");
}

TEST_F(ReportTest, CsvIsNoSpreadsheetProgram) {
  for (const char* formula : {"=1+1", "+cmd", "-cmd|' /C calc'!A0", "@SUM(A1)"}) {
    const std::string field = CsvField(formula);
    EXPECT_TRUE(field[0] == '\'' || field.substr(0, 2) == "\"'") << field;
  }
  EXPECT_EQ(CsvField(-1.5), "-1.5");
  EXPECT_EQ(CsvField("-1.5"), "-1.5");
  EXPECT_EQ(CsvField("+49"), "+49");
  EXPECT_EQ(CsvField("a=b"), "a=b");
  EXPECT_EQ(CsvField(json::array({"=x", "y"})), "\"'=x, y\"");
  EXPECT_EQ(CsvField("line\nbreak\x1b[2J"), "line break\\x1b[2J");
}

TEST_F(ReportTest, TemplatesFillTheirGaps) {
  EXPECT_EQ(Print("{{ identity }} {{facts.os.family}}"), "db1 RedHat\nweb10 Debian\n");
  EXPECT_EQ(Print("{{identity}}: {{ facts.none | default \"?\" }}"), "db1: ?\nweb10: ?\n");
  EXPECT_EQ(Print("{{ facts.roles | join \"+\" | default \"none\" }}"), "none\nweb+cache\n");
  EXPECT_EQ(Print("{{ classes | count }} {{ facts.cpus | json }}{{ facts.roles|json }}"),
            "1 4null\n2 16[\"web\",\"cache\"]\n");
  EXPECT_EQ(Print("{{ \"{{\" }}\\t{{ identity }}\\n"), "{{\tdb1\n\n{{\tweb10\n\n");
  EXPECT_EQ(Print("{{ classes | join \"\\n  \" }}", "", "-identity"),
            "nginx\n  settings\nsettings\n");
}

TEST_F(ReportTest, WhatNodesSayCannotForgeRowsOrSteer) {
  nodes_ = {Inventory("a", {{"x", "1\nb 2\x1b]0;t\x07"}, {"l", {"p\nq", "r"}}}, {})};
  const std::string safe = "1 b 2\\x1b]0;t\\x07";
  EXPECT_EQ(Print("{{ identity }} {{ facts.x }}"), "a " + safe + "\n");
  EXPECT_EQ(Print("{{ facts.l | join \"\\n\" }}"), "p q\nr\n");
  EXPECT_EQ(Print("csv:facts.x", "", "", false, false), safe + "\n");
  EXPECT_EQ(Print("table:facts.x", "", "", false, false), safe + "\n");
}

TEST_F(ReportTest, OnATerminalLongCellsAreCut) {
  nodes_ = {Inventory("a", {{"x", std::string(100, 'x')}}, {})};
  terminal_.out_is_tty = true;
  EXPECT_EQ(Columns(Print("table:facts.x", "", "", false, false)), 41u);
  EXPECT_EQ(Columns(Print("table:facts.x", "", "", true, false)), 101u);
  EXPECT_EQ(Print("csv:facts.x", "", "", false, false).size(), 101u);
}

TEST_F(ReportTest, AsksForNoMoreThanItShows) {
  const auto question = [](const std::string& format) {
    const absl::StatusOr<Report> report = Report::Parse(format, "");
    EXPECT_TRUE(report.ok()) << report.status();
    return report->Question();
  };
  EXPECT_TRUE(question("csv:identity").has_node_ping());
  const orch::v1::Action facts = question("{{ facts.b }} {{ facts.a }} {{ facts.b }}");
  ASSERT_TRUE(facts.has_node_facts());
  EXPECT_EQ(facts.node_facts().facts_size(), 2);
  EXPECT_TRUE(question("csv:identity,facts.a,classes").has_node_inventory());
  EXPECT_TRUE(question("csv:facts").has_node_inventory());
  EXPECT_TRUE(question("csv:facts." + std::string(300, 'x')).has_node_inventory());
  std::string many = "csv:identity";
  for (int i = 0; i < 64; ++i) many += ",facts.f" + std::to_string(i);
  EXPECT_TRUE(question(many).has_node_facts());
  EXPECT_TRUE(question(many + ",facts.g").has_node_inventory());
}

TEST_F(ReportTest, AnswersToNodeFactsFillTheSameColumns) {
  orch::v1::JobNode node;
  node.set_node("a");
  node.set_state(orch::v1::NODE_STATE_SUCCEEDED);
  auto& facts = *node.mutable_result()->mutable_node_facts()->mutable_facts();
  facts["os.family"] = api::ToValue("Debian");
  nodes_ = {node, node};
  nodes_[1].set_node("b");
  nodes_[1].set_state(orch::v1::NODE_STATE_NO_RESPONSE);  // no row: it is named elsewhere
  EXPECT_EQ(Print("csv:identity,facts.os.family"), "identity,facts.os.family\na,Debian\n");
}

TEST_F(ReportTest, ErrorsSayWhere) {
  EXPECT_EQ(Error("", "identity,os.family").substr(0, 30), "--columns: column 10: expected");
  EXPECT_NE(Error("", "os.family").find("a fact is written facts.os.family"), std::string::npos);
  EXPECT_NE(Error("", "puppet.foo").find("puppet has no `foo`; it has applying, enabled"),
            std::string::npos);
  EXPECT_EQ(Error("csv:identity,\"x"), "--format: column 14: a double quote is not closed");
  EXPECT_NE(Error("csv").find("names no column"), std::string::npos);
  EXPECT_NE(Error("", "identity,,version").find("column 10"), std::string::npos);
  EXPECT_NE(Error("", "identity,").find("column 10"), std::string::npos);
  EXPECT_NE(Error("", "facts.").find("column 1"), std::string::npos);
  EXPECT_NE(Error("xml", "identity").find("--format xml: expected csv"), std::string::npos);
  EXPECT_EQ(Error("é {{ identity"), "--format: column 3: {{ without }}");
  EXPECT_NE(Error("x {{ nonsense }}").find("--format: column 3: expected identity"),
            std::string::npos);
  EXPECT_NE(Error("{{ identity | upper }}").find("expected a filter"), std::string::npos);
  EXPECT_NE(Error("{{ identity | default }}").find("default: expected text"), std::string::npos);
  EXPECT_NE(Error("{{ \"x\" y }}").find("expected }}"), std::string::npos);
  EXPECT_NE(Error("{{ }}").find("expected identity"), std::string::npos);
  EXPECT_NE(Error("csv:identity", "version").find("both name columns"), std::string::npos);
  EXPECT_NE(Error("{{ identity }}", "version").find("not a template"), std::string::npos);
  const absl::StatusOr<Report> report = Report::Parse("", "identity,facts.x");
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->CheckSortBy("version").message(),
            "--sort-by version: `version` is none of identity, facts.x");
}

}  // namespace
}  // namespace orch::cli
