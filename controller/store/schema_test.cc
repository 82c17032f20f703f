// SPDX-License-Identifier: Apache-2.0
// A store that an earlier build wrote opens, with everything that is in it.
//
// testdata/schema<N>.db was written by the orch-controller that had schema N, with real node agents
// and a real Puppet, and killed with SIGKILL while three jobs were under way. It is never written
// anew: a later build writes another one.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <map>
#include <set>

#include "controller/store/store_rows.h"

namespace orch::controller {
namespace {

constexpr char kPing[] = "01M8QC9KB3FSX0V0G2KJHR2M70";     // ended
constexpr char kRun[] = "01M8QC9KCPE1PRH3YS572Q5Y22";      // ended
constexpr char kRunning[] = "01M8QC9T1M57PWK555GMPQEC6N";  // canary, window, batches
constexpr char kPaused[] = "01M8QC9XZ81N94TMJ1P3Y866AA";   // by its caller
constexpr char kAsking[] = "01M8QCA21RFSAGXCQ9X6W19R3D";   // read-only, a node is silent
const absl::Time kKilled = absl::FromUnixMillis(1796081006000);

class Schema1Test : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "/schemaXXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    path_ = path + "/orch.db";
    std::ofstream(path_, std::ios::binary)
        << std::ifstream("controller/store/testdata/schema1.db", std::ios::binary).rdbuf();
    Open();
  }
  void Open() {
    rows_.reset();
    auto rows = StoreRows::Open(path_);
    ASSERT_TRUE(rows.ok()) << rows.status();
    rows_ = *std::move(rows);
  }
  std::map<std::string, orch::v1::JobNode> Nodes(const std::string& id) {
    auto page = rows_->ListNodes({.job_id = id, .states = {}, .after_node = "", .limit = 100});
    EXPECT_TRUE(page.ok()) << page.status();
    std::map<std::string, orch::v1::JobNode> nodes;
    for (const orch::v1::JobNode& node : page->items) nodes[node.node()] = node;
    return nodes;
  }

  std::string path_;
  std::unique_ptr<StoreRows> rows_;
};

TEST_F(Schema1Test, ItsJobsAreThere) {
  auto jobs = rows_->ListJobs({.limit = 100});
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  std::map<std::string, orch::v1::JobState> states;
  for (const orch::v1::Job& job : jobs->items) {
    states[job.name()] = job.state();
    EXPECT_EQ(job.caller(), "cert=operator");
    EXPECT_TRUE(job.has_create_time());
  }
  EXPECT_EQ(states.size(), 6u);
  EXPECT_EQ(states[JobName(kPing)], orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(states[JobName(kRun)], orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(states[JobName(kRunning)], orch::v1::JOB_STATE_RUNNING);
  EXPECT_EQ(states[JobName(kPaused)], orch::v1::JOB_STATE_PAUSED);
  EXPECT_EQ(states[JobName(kAsking)], orch::v1::JOB_STATE_RUNNING);
  EXPECT_EQ(rows_->GetJob(kPing)->spec().reason(), "is it there?");
}

TEST_F(Schema1Test, ItsNodesAndEventsAreThere) {
  const auto ran = Nodes(kRun);
  ASSERT_EQ(ran.size(), 2u);
  EXPECT_EQ(ran.at("web1.example.net").result().puppet_run().verdict(),
            orch::v1::PUPPET_RUN_VERDICT_CHANGED);
  const auto running = Nodes(kRunning);
  EXPECT_EQ(running.at("db1.example.net").state(), orch::v1::NODE_STATE_RUNNING);
  EXPECT_EQ(running.at("web1.example.net").state(), orch::v1::NODE_STATE_PENDING);
  auto log = rows_->ReadEvents(kRun, 0, 1 << 20);
  ASSERT_TRUE(log.ok()) << log.status();
  ASSERT_FALSE(log->empty());
  EXPECT_TRUE(log->front()->has_started());
  EXPECT_TRUE(log->back()->has_finished());
  uint64_t sequence = 0;
  for (const auto& event : *log) EXPECT_EQ(event->sequence(), ++sequence);
}

TEST_F(Schema1Test, WhatIsUnfinishedIsTakenUp) {
  auto unfinished = rows_->LoadUnfinished(kKilled);
  ASSERT_TRUE(unfinished.ok()) << unfinished.status();
  ASSERT_EQ(unfinished->size(), 3u);
  const UnfinishedJob& running = (*unfinished)[0];
  EXPECT_EQ(running.record.job().name(), JobName(kRunning));
  EXPECT_EQ(running.record.canary(), 1u);
  EXPECT_EQ(running.record.concurrency(), 1u);
  EXPECT_EQ(running.record.batch_size(), 1u);
  EXPECT_EQ(running.record.batch_sleep().seconds(), 90);
  EXPECT_EQ(running.record.max_failures(), 2u);
  ASSERT_EQ(running.nodes.size(), 2u);
  EXPECT_EQ(running.nodes[0].state, orch::v1::NODE_STATE_RUNNING);
  EXPECT_NE(running.nodes[0].batch_expiry, absl::InfinitePast());
  EXPECT_EQ(running.nodes[1].batch_expiry, absl::InfinitePast());
  ASSERT_EQ(running.requests.size(), 1u);
  EXPECT_FALSE(running.requests[0].envelope().empty());
  EXPECT_EQ((*unfinished)[1].status.job().state(), orch::v1::JOB_STATE_PAUSED);
  EXPECT_EQ((*unfinished)[2].record.answer_timeout().seconds(), 600);
}

TEST_F(Schema1Test, ItsKeysAndItsRosterAreThere) {
  const auto known = rows_->FindKey("cert=operator", "key-of-the-paused", kKilled);
  ASSERT_TRUE(known.ok() && known->has_value());
  EXPECT_EQ((*known)->job_id, kPaused);
  auto nodes = rows_->LoadNodes();
  ASSERT_TRUE(nodes.ok());
  std::set<std::string> names;
  for (const auto& [name, row] : *nodes) {
    names.insert(name);
    EXPECT_FALSE(row.presence().empty()) << name;
  }
  EXPECT_EQ(names, (std::set<std::string>{"db1.example.net", "db2.example.net", "web1.example.net",
                                          "web2.example.net"}));
}

TEST_F(Schema1Test, OpenedTwiceItIsTheSame) {
  Open();
  EXPECT_EQ(rows_->LoadUnfinished(kKilled)->size(), 3u);
}

}  // namespace
}  // namespace orch::controller
