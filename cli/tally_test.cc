// SPDX-License-Identifier: Apache-2.0
#include "cli/tally.h"

#include <gtest/gtest.h>

#include "cli/groups.h"
#include "cli/live.h"
#include "cli/render.h"

namespace orch::cli {
namespace {

using orch::v1::NodeState;

// Builds the batches that a controller would send.
class Log {
 public:
  Log& Started(const std::vector<std::string>& nodes) {
    auto* started = Next()->mutable_started();
    for (const std::string& node : nodes) started->add_nodes(node);
    return *this;
  }
  Log& Node(const std::string& name, NodeState state, const std::string& reason = "") {
    auto* node = Next()->mutable_node();
    node->set_node(name);
    node->set_state(state);
    node->set_reason(reason);
    return *this;
  }
  Log& Finished(orch::v1::JobState state) {
    auto* job = Next()->mutable_finished();
    job->set_name("jobs/X");
    job->set_state(state);
    return *this;
  }
  orch::v1::WatchJobResponse batch;

 private:
  orch::v1::JobEvent* Next() {
    auto* event = batch.add_events();
    event->set_sequence(batch.events_size());
    return event;
  }
};

ExitCode ExitOfNodes(const std::vector<std::pair<NodeState, std::string>>& nodes,
                     const std::string& tolerate = "",
                     orch::v1::JobState state = orch::v1::JOB_STATE_FAILED) {
  Log log;
  std::vector<std::string> names;
  for (size_t i = 0; i < nodes.size(); ++i) names.push_back("n" + std::to_string(i));
  log.Started(names);
  for (size_t i = 0; i < nodes.size(); ++i) log.Node(names[i], nodes[i].first, nodes[i].second);
  log.Finished(state);
  Tally tally;
  tally.Apply(log.batch);
  EXPECT_TRUE(tally.finished());
  const auto tolerance = Tolerance::Parse(tolerate);
  EXPECT_TRUE(tolerance.ok()) << tolerance.status();
  return tally.Exit(*tolerance);
}

TEST(TallyTest, ExitCodesSayWhatHappened) {
  using namespace orch::v1;  // NOLINT
  EXPECT_EQ(ExitOfNodes({{NODE_STATE_SUCCEEDED, ""}}, "", JOB_STATE_SUCCEEDED), kExitOk);
  EXPECT_EQ(ExitOfNodes({}), kExitNothing);
  EXPECT_EQ(ExitOfNodes({{NODE_STATE_SUCCEEDED, ""}, {NODE_STATE_FAILED, ""}}), kExitFailed);
  EXPECT_EQ(ExitOfNodes({{NODE_STATE_REFUSED, "disabled"}}), kExitFailed);
  EXPECT_EQ(ExitOfNodes({{NODE_STATE_DENIED, ""}}), kExitFailed);
  EXPECT_EQ(ExitOfNodes({{NODE_STATE_NO_RESPONSE, ""}}), kExitNoAnswer);
  EXPECT_EQ(ExitOfNodes({{NODE_STATE_TIMED_OUT, ""}}), kExitNoAnswer);
  EXPECT_EQ(ExitOfNodes({{NODE_STATE_LOST, ""}}), kExitNoAnswer);
  EXPECT_EQ(ExitOfNodes({{NODE_STATE_NO_RESPONSE, ""}, {NODE_STATE_FAILED, ""}}), kExitFailed);
  EXPECT_EQ(ExitOfNodes({{NODE_STATE_CANCELLED, ""}}, "", JOB_STATE_CANCELLED), kExitStopped);
  EXPECT_EQ(ExitOfNodes({{NODE_STATE_SUCCEEDED, ""}}, "", JOB_STATE_STOPPED), kExitStopped);
}

TEST(TallyTest, ToleranceForgivesOnlyWhatItNames) {
  using namespace orch::v1;  // NOLINT
  EXPECT_EQ(ExitOfNodes({{NODE_STATE_REFUSED, "disabled"}}, "disabled"), kExitOk);
  EXPECT_EQ(ExitOfNodes({{NODE_STATE_REFUSED, "already_running"}}, "disabled"), kExitFailed);
  EXPECT_EQ(ExitOfNodes({{NODE_STATE_REFUSED, "already_running"}}, "running"), kExitOk);
  EXPECT_EQ(
      ExitOfNodes({{NODE_STATE_NO_RESPONSE, ""}, {NODE_STATE_SUCCEEDED, ""}}, "no-response:1"),
      kExitOk);
  EXPECT_EQ(
      ExitOfNodes({{NODE_STATE_NO_RESPONSE, ""}, {NODE_STATE_SUCCEEDED, ""}}, "no-response:50%"),
      kExitOk);
  EXPECT_EQ(
      ExitOfNodes({{NODE_STATE_NO_RESPONSE, ""}, {NODE_STATE_SUCCEEDED, ""}}, "no-response:49%"),
      kExitNoAnswer);
  EXPECT_FALSE(Tolerance::Parse("no-response").ok());
  EXPECT_FALSE(Tolerance::Parse("no-response:101%").ok());
  EXPECT_FALSE(Tolerance::Parse("everything").ok());
}

TEST(TallyTest, KnownEventsChangeNothingWhenTheWatchJoinsAgain) {
  Log log;
  log.Started({"a", "b"}).Node("a", orch::v1::NODE_STATE_SUCCEEDED);
  Tally tally;
  tally.Apply(log.batch);
  tally.Apply(log.batch);
  EXPECT_EQ(tally.ended(), 1u);
  EXPECT_EQ(tally.count(orch::v1::NODE_STATE_PENDING), 1u);
  EXPECT_EQ(tally.last_sequence(), 2u);
  log.Node("b", orch::v1::NODE_STATE_FAILED);
  tally.Apply(log.batch);
  EXPECT_EQ(tally.ended(), 2u);
  EXPECT_EQ(tally.count(orch::v1::NODE_STATE_PENDING), 0u);
}

TEST(RenderTest, NodesNeverReachTheTerminalRaw) {
  EXPECT_EQ(Safe("a\x1b[31mb\nc\x07"), "a\\x1b[31mb c\\x07");
}

TEST(RenderTest, AgesAreForPeople) {
  EXPECT_EQ(Age(absl::Milliseconds(42)), "42 ms");
  EXPECT_EQ(Age(absl::Seconds(4.25)), "4.2 s");
  EXPECT_EQ(Age(absl::Seconds(130)), "2m10s");
  EXPECT_EQ(Age(absl::Hours(3)), "3h00m");
  EXPECT_EQ(Age(absl::Hours(24 * 5)), "5 d");
  EXPECT_EQ(Age(-absl::Seconds(5)), "0 ms");
}

TEST(ProgressLineTest, CountsAndFits) {
  Log log;
  log.Started({"a", "b", "c", "d", "e"})
      .Node("a", orch::v1::NODE_STATE_SUCCEEDED)
      .Node("b", orch::v1::NODE_STATE_FAILED)
      .Node("c", orch::v1::NODE_STATE_RUNNING)
      .Node("e", orch::v1::NODE_STATE_NO_RESPONSE);
  Tally tally;
  tally.Apply(log.batch);
  Terminal terminal{std::cout, std::cerr};
  const std::string line = ProgressLine(terminal, tally, absl::Seconds(10), 200);
  EXPECT_EQ(line, "############          3/5  failed 1  silent 1  running 1  waiting 1  ETA 6.7 s")
      << line;
  for (int width = 5; width < 120; ++width) {
    EXPECT_LT(Columns(ProgressLine(terminal, tally, absl::Seconds(10), width)),
              static_cast<size_t>(width));
  }
  EXPECT_NE(ProgressLine(terminal, tally, absl::Seconds(10), 30).find("failed 1"),
            std::string::npos);
}

TEST(LiveLineTest, TakesAwayWhatBrokeWhereTheTerminalIsNarrowerNow) {
  std::ostringstream out;
  LiveLine live(out);
  live.Show(std::string(70, 'x'), 80);
  EXPECT_EQ(out.str(), "\r" + std::string(70, 'x'));
  out.str("");
  live.Show("short", 30);
  EXPECT_EQ(out.str(), "\x1b[2A\r\x1b[Jshort");
  out.str("");
  live.Clear(30);
  EXPECT_EQ(out.str(), "\r\x1b[K");
  EXPECT_FALSE(live.shown());
  out.str("");
  live.Clear(30);
  EXPECT_EQ(out.str(), "");
}

TEST(RenderTest, TablesPadColumnsAndDropTheHeader) {
  const std::vector<std::vector<std::string>> rows = {{"A", "B"}, {"long", "x"}, {"é", "y"}};
  EXPECT_EQ(Table(rows, true), "A     B\nlong  x\né     y\n");
  EXPECT_EQ(Table(rows, false), "long  x\né     y\n");
}

TEST(RenderTest, YamlIsTheSameAsJson) {
  orch::v1::JobReport report;
  report.mutable_job()->set_name("jobs/X");
  report.add_nodes()->set_node("a: b");
  const std::string yaml = Serialized(report, Output::kYaml);
  EXPECT_NE(yaml.find("\"name\": \"jobs/X\"\n"), std::string::npos) << yaml;
  EXPECT_NE(yaml.find("\"node\": \"a: b\"\n"), std::string::npos) << yaml;
}

TEST(RenderTest, WhatHasNoJsonIsNoOutput) {
  orch::v1::JobReport report;
  report.mutable_job()->mutable_create_time()->set_seconds(int64_t{1} << 62);
  for (const Output output : {Output::kJson, Output::kJsonl, Output::kYaml}) {
    EXPECT_THROW(Serialized(report, output), Unprintable);
  }
}

TEST(RenderTest, AnErrorHasItsResourceAndPlace) {
  orch::v1::JobNode node;
  node.set_node("a");
  node.set_state(orch::v1::NODE_STATE_FAILED);
  orch::v1::PuppetRunError* error = node.mutable_result()->mutable_puppet_run()->add_errors();
  error->set_message("false returned 1");
  error->set_resource("Exec[x]");
  error->set_file("/site.pp");
  error->set_line(2);
  const Terminal terminal{std::cout, std::cerr};
  const auto lines = NodeDetails(terminal, LookFor(terminal, Output::kTable, false), node);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], "    ! false returned 1");
  EXPECT_EQ(lines[1], "      at /site.pp:2, Exec[x]");
  EXPECT_EQ(NodeDetails(terminal, LookFor(terminal, Output::kTable, true), node)[0],
            "    ! Exec[x]: false returned 1 (file: /site.pp, line: 2)");
}

TEST(RenderTest, WhoWasNotAskedIsTold) {
  orch::v1::WatchJobResponse batch;
  orch::v1::Job* job = batch.add_events()->mutable_finished();
  batch.mutable_events(0)->set_sequence(1);
  job->set_state(orch::v1::JOB_STATE_SUCCEEDED);
  job->set_not_asked_count(7);
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
    orch::v1::NotAskedNode* node = job->add_not_asked();
    node->set_node(name);
    node->set_reason("gone");
  }
  Tally tally;
  tally.Apply(batch);
  const Terminal terminal{std::cout, std::cerr};
  const auto lines = Summary(terminal, tally, absl::Seconds(3));
  EXPECT_EQ(lines[0],
            "7 nodes match and were not asked: a gone, b gone, c gone, d gone, e gone and 2 more");
}

}  // namespace
}  // namespace orch::cli
