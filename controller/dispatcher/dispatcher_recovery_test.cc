// SPDX-License-Identifier: Apache-2.0
// The controller is killed and comes back on the same store: every job ends, with every node in
// exactly one outcome, and nothing is started twice.
#include <gtest/gtest.h>

#include <fstream>
#include <optional>
#include <random>
#include <set>

#include "absl/strings/match.h"
#include "controller/admission/discovery.h"
#include "controller/dispatcher/dispatcher_fixture.h"
#include "controller/store/store_rows.h"

namespace orch::controller {
namespace {

using orch::bus::v1::Request;
using orch::testing::SimNodeOptions;

constexpr auto kHold = [] { return SimNodeOptions{.identity = {}, .hold = true}; };

class RecoveryTest : public DispatcherTest {
 protected:
  void Release(const std::string& name) {
    boost::asio::post(node_strand_, [this, name] { node(name)->Release(); });
    orch::testing::RunReady(&io_);
  }
  uint64_t LastSequence(const std::string& id) { return Get(id).last_sequence(); }
};

TEST_F(RecoveryTest, AJobGoesOnWhereItWas) {
  for (const char* name : {"a", "b", "c"}) AddNode(name, kHold());
  AdmittedJob traced = PuppetRun();
  traced.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const std::string id = Run(traced);
  Until([this] { return node("c")->started() == 1; });
  Until([&] { return Nodes(id).at("c").state() == orch::v1::NODE_STATE_ACCEPTED; });
  const uint64_t seen = LastSequence(id);
  KillController();
  Release("a");  // its reply waits in the broker's queue
  StartController();
  Release("b");
  Release("c");
  const auto log = Follow(id, seen);
  EXPECT_TRUE(log.back()->has_finished());
  EXPECT_EQ(Get(id).state(), orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(Get(id).traceparent(), traced.traceparent);
  for (const char* name : {"a", "b", "c"}) EXPECT_EQ(node(name)->started(), 1);
  EXPECT_EQ(Metrics().jobs_adopted, 1u);
}

TEST_F(RecoveryTest, AStoreOfSchema1IsTakenUp) {
  KillController();
  options_.store_path = orch::testing::NewTestDirectory() + "/orch.db";
  std::ofstream(options_.store_path, std::ios::binary)
      << std::ifstream("controller/store/testdata/schema1.db", std::ios::binary).rdbuf();
  StartController();
  EXPECT_EQ(Metrics().jobs_adopted, 3u);
  EXPECT_EQ(Metrics().jobs_running, 3u);
  const std::string paused = "01M8QC9XZ81N94TMJ1P3Y866AA";
  EXPECT_EQ(Get(paused).state(), orch::v1::JOB_STATE_PAUSED);
  EXPECT_EQ(Nodes(paused).at("web1.example.net").state(), orch::v1::NODE_STATE_PENDING);
  EXPECT_EQ(Cancel(paused)->state(), orch::v1::JOB_STATE_STOPPING);
  EXPECT_EQ(Nodes(paused).at("web1.example.net").state(), orch::v1::NODE_STATE_CANCELLED);
}

TEST_F(RecoveryTest, ALostResultIsAskedFor) {
  AddNode("a", SimNodeOptions{.identity = {}, .mute_results = true});
  const std::string id = Run(PuppetRun());
  Until([&] { return Nodes(id).at("a").state() == orch::v1::NODE_STATE_ACCEPTED; });
  KillController();
  node("a")->options().mute_results = false;
  StartController();
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(node("a")->heard(Request::kResultQuery), 1);
}

TEST_F(RecoveryTest, ALostRequestIsPublishedAgainByteForByte) {
  AddNode("a");
  AddNode("b", kHold());
  AdmittedJob run = PuppetRun();
  const std::string id = Run(run);
  Until([this] { return node("a")->started() + node("b")->started() == 2; });
  // A third one whose request was lost: it hears everything and takes nothing.
  AddNode("c");
  const std::string other = Run(run);
  node("c")->options().silent = true;
  Until([this] { return node("c")->heard(Request::kAction) >= 1; });
  KillController();
  node("c")->options().silent = false;
  StartController();
  Release("b");
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(End(other).state(), orch::v1::JOB_STATE_SUCCEEDED);
  for (const auto& [name, member] : nodes_) {
    for (const auto& [request, count] : member.node->starts()) EXPECT_EQ(count, 1) << name;
  }
}

TEST_F(RecoveryTest, ALostJournalIsLost) {
  AddNode("a", kHold());
  const std::string id = Run(PuppetRun());
  Until([&] { return Nodes(id).at("a").state() == orch::v1::NODE_STATE_ACCEPTED; });
  KillController();
  node("a")->Restart(/*forget=*/true);
  StartController();
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_FAILED);
  EXPECT_EQ(Nodes(id).at("a").state(), orch::v1::NODE_STATE_LOST);
}

TEST_F(RecoveryTest, ANodeThatComesBackIsAsked) {
  AddNode("a", kHold());
  const std::string id = Run(PuppetRun());
  Until([&] { return Nodes(id).at("a").state() == orch::v1::NODE_STATE_ACCEPTED; });
  boost::asio::post(node_strand_, [this] {
    node("a")->options().mute_results = true;
    node("a")->Release();
    node("a")->options().mute_results = false;
    node("a")->Restart(/*forget=*/false);
    node("a")->SendPresence(true, false);
  });
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_SUCCEEDED);
}

TEST_F(RecoveryTest, WhatANodeLostWithItsConnectionIsPublishedAgain) {
  AddNode("a");
  const std::string id = Run(PuppetRun());
  node("a")->options().silent = true;
  Until([this] { return node("a")->heard(Request::kAction) >= 1; });
  ASSERT_EQ(node("a")->started(), 0);
  // Its broker died, not the controller's: nobody missed it, and it did not start anew.
  boost::asio::post(node_strand_, [this] {
    node("a")->options().silent = false;
    node("a")->SendPresence(true, false);
  });
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(node("a")->started(), 1);
}

TEST_F(RecoveryTest, ACancelledJobStaysCancelled) {
  for (const char* name : {"a", "b"}) AddNode(name, kHold());
  AdmittedJob run = PuppetRun();
  run.spec.mutable_rollout()->set_concurrency(1);
  const std::string id = Run(run);
  Until([&] { return Nodes(id).at("a").state() == orch::v1::NODE_STATE_ACCEPTED; });
  ASSERT_TRUE(Cancel(id).ok());
  KillController();
  StartController();
  Until([this] { return node("b")->heard(Request::kCancel) >= 2; });
  Release("a");
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(Get(id).message(), "cancelled by cert=operator: enough");
  EXPECT_EQ(node("b")->started(), 0);
}

TEST_F(RecoveryTest, ANodeThatMissedTheCancelIsNotSentTheRunAgain) {
  AddNode("a");
  const std::string id = Run(PuppetRun());
  node("a")->options().silent = true;
  Until([this] { return node("a")->heard(Request::kAction) >= 1; });
  ASSERT_TRUE(Cancel(id).ok());
  Until([this] { return node("a")->heard(Request::kCancel) >= 1; });
  boost::asio::post(node_strand_, [this] {
    node("a")->options().silent = false;
    node("a")->SendPresence(true, false);
  });
  Until([this] { return node("a")->heard(Request::kResultQuery) >= 1; });
  EXPECT_GE(node("a")->heard(Request::kCancel), 2);
  // Nor by a controller that takes the job up again.
  KillController();
  StartController();
  Until([this] { return node("a")->heard(Request::kResultQuery) >= 2; });
  EXPECT_GE(node("a")->heard(Request::kCancel), 3);
  EXPECT_EQ(node("a")->heard(Request::kAction), 1);
  EXPECT_EQ(node("a")->started(), 0);
}

TEST_F(RecoveryTest, AReadOnlyJobEnds) {
  for (const char* name : {"a", "b"}) AddNode(name);
  node("b")->options().silent = true;
  AdmittedJob ping = Ping();
  ping.spec.mutable_timeout()->set_nanos(500'000'000);
  const std::string id = Run(ping);
  Until([&] { return Nodes(id).at("a").state() == orch::v1::NODE_STATE_SUCCEEDED; });
  KillController();
  StartController();
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_FAILED);
  EXPECT_EQ(Nodes(id).at("b").state(), orch::v1::NODE_STATE_NO_RESPONSE);
}

TEST_F(RecoveryTest, EndedJobsAndTheRosterAreStillThere) {
  AddNode("a");
  auto rows = StoreRows::Open(options_.store_path);
  ASSERT_TRUE(rows.ok());
  Until([&rows] { return (*rows)->LoadNodes()->size() == 1; });
  node("a")->options().silent = true;  // it won't say so again
  AddNode("b");
  const std::string id = Run(Ping());
  const auto before = Follow(id);
  KillController();
  StartController();
  const auto after = Follow(id);
  ASSERT_EQ(after.size(), before.size());
  for (size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i]->SerializeAsString(), before[i]->SerializeAsString());
  }
  EXPECT_EQ(GetNode("a")->state(), orch::v1::ROSTER_STATE_PRESENT) << "though it is silent";
}

TEST_F(RecoveryTest, LateEvidenceOfAnEndedJobIsKept) {
  AddNode("a");
  AdmittedJob ping = Ping();
  ping.spec.mutable_timeout()->set_nanos(50'000'000);
  node("a")->options().silent = true;
  const std::string id = Run(ping);
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_FAILED);
  Until([&] { return Metrics().jobs_running == 0; });
  orch::bus::v1::Reply reply;
  reply.set_protocol(1);
  reply.set_node("a");
  reply.set_request_id(node("a")->last_action().request_id());
  reply.set_request_digest(node("a")->last_digest());
  reply.set_job_id(id);
  reply.mutable_outcome()->set_state(orch::v1::NODE_STATE_FAILED);
  boost::asio::post(node_strand_, [&] { node("a")->SendReply(node("a")->last_action(), reply); });
  Until([&] { return !Nodes(id).at("a").late_evidence().empty(); });
}

TEST_F(RecoveryTest, ABrokerThatIsKilledLosesNothingForGood) {
  for (const char* name : {"a", "b", "c"}) AddNode(name, kHold());
  AdmittedJob run = PuppetRun();
  run.spec.mutable_rollout()->set_concurrency(2);
  const std::string id = Run(run);
  Until([&] { return Nodes(id).at("b").state() == orch::v1::NODE_STATE_ACCEPTED; });
  KillBroker();
  Until([this] { return !nodes_.at("a").connected && !nodes_.at("b").connected; });
  Release("a");  // said into the void
  node("c")->options().hold = false;
  EXPECT_EQ(Create(Ping()).status().code(), absl::StatusCode::kUnavailable);
  StartBroker();
  Until([this] { return nodes_.at("a").connected && nodes_.at("c").connected; });
  Until([&] { return Nodes(id).at("a").state() == orch::v1::NODE_STATE_SUCCEEDED; });
  Release("b");
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_SUCCEEDED);
  for (const char* name : {"a", "b", "c"}) EXPECT_EQ(node(name)->started(), 1);
}

// The broker is gone at any moment after a question was asked: it is asked again, refused, or its
// answers are named as missing, but it ends.
TEST_F(RecoveryTest, AQuestionThatIsLostWithTheBrokerEnds) {
  AddNode("a");
  AdmittedJob ping = Ping();
  ping.spec.mutable_timeout()->set_nanos(300'000'000);
  std::mt19937 random(5);
  int answered = 0;
  for (int round = 0; round < 30; ++round) {
    std::optional<absl::StatusOr<CreatedJob>> created;
    Post([&](Dispatcher& there) {
      there.CreateJob(ping, [&created](absl::StatusOr<CreatedJob> c) { created = c; });
    });
    for (uint32_t i = random() % 60; i > 0; --i) io_.poll_one();
    KillBroker();
    Until([this] { return !nodes_["a"].connected; });
    StartBroker();
    Until([this] { return nodes_["a"].connected; });
    Until([&created] { return created.has_value(); });
    if (!created->ok()) {
      EXPECT_EQ(created->status().code(), absl::StatusCode::kUnavailable) << created->status();
    } else {
      answered += End((*created)->job.name().substr(5)).state() == orch::v1::JOB_STATE_SUCCEEDED;
    }
    Until([this] { return Status().bus_connected; });
  }
  EXPECT_GT(answered, 0);
}

// A node that comes back later than the controller misses the discovery; it is named NO_RESPONSE
// only if it does not come.
TEST_F(RecoveryTest, ANodeOnItsWayBackIsWaitedFor) {
  AddNode("a");
  AddNode("b");
  KillBroker();
  bool stopped = false;
  boost::asio::post(node_strand_, [&] { nodes_["b"].client->Stop([&] { stopped = true; }); });
  Until([&] { return stopped; });
  const auto refused = Create(PuppetRun()).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(refused.message(), "not connected to the message bus for 0"))
      << refused;
  StartBroker();
  Until([this] { return nodes_["a"].connected && Status().bus_connected; });
  boost::asio::post(node_strand_, [this] { node("a")->SendPresence(true, false); });
  std::string id;
  Post([&](Dispatcher& there) {
    there.CreateJob(PuppetRun(), [&id](absl::StatusOr<CreatedJob> created) {
      ASSERT_TRUE(created.ok()) << created.status();
      id = created->job.name().substr(5);
    });
  });
  Until([this] { return node("a")->heard(Request::kDiscover) >= 1; });
  const absl::Time begin = absl::Now();
  Until([begin] { return absl::Now() - begin > kDiscoverTimeout + absl::Milliseconds(200); });
  EXPECT_EQ(id, "") << "it goes on without b";
  nodes_["b"].connected = false;
  AddQuietNode("b");
  boost::asio::post(node_strand_, [this] { node("b")->SendPresence(true, true); });
  Until([&id] { return !id.empty(); });
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(Get(id).targets(), 2u);
  // The first presence of a connection, if it comes in between, has a node asked once more, with
  // the same bytes: what was sent before may be lost. It starts once all the same.
  for (const char* name : {"a", "b"}) EXPECT_EQ(node(name)->started(), 1);
  EXPECT_LE(node("a")->heard(Request::kDiscover), 2);
}

// Each step between a node's first presence and the discovery that it is meant by, so also the one
// where the question is still being signed.
TEST_F(RecoveryTest, ANodeComesBackAtAnyMomentOfADiscovery) {
  AddNode("a");
  int jobs = 0;
  for (int steps = 0; steps < 50; ++steps) {
    boost::asio::post(node_strand_, [this] { node("a")->SendPresence(true, false); });
    for (int i = 0; i < steps; ++i) io_.poll_one();
    EXPECT_EQ(End(Run(PuppetRun())).state(), orch::v1::JOB_STATE_SUCCEEDED);
    EXPECT_EQ(node("a")->started(), ++jobs);
  }
}

// Kills the controller after a random number of steps of the loop, again and again, until the job
// has ended.
TEST_F(RecoveryTest, KilledAtAnyMoment) {
  const std::vector<std::string> names = {"a", "b", "c", "d", "e"};
  for (const std::string& name : names)
    AddNode(name, SimNodeOptions{.identity = {}, .progress = 2});
  std::mt19937 random(11);
  for (int round = 0; round < 5; ++round) {
    AdmittedJob run = PuppetRun();
    run.spec.mutable_rollout()->set_concurrency(2);
    run.idempotency_key = "round-" + std::to_string(round);
    std::string id;
    Post([&](Dispatcher& there) {
      there.CreateJob(run, [&id](absl::StatusOr<CreatedJob> created) {
        if (created.ok()) id = created->job.name().substr(5);
      });
    });
    for (int kills = 0; kills < 8; ++kills) {
      for (uint32_t i = random() % 120; i > 0; --i) io_.run_one();
      KillController();
      StartController();
    }
    // Whoever lost the answer asks again with the same key: the same job, if there is one.
    auto created = Create(run);
    ASSERT_TRUE(created.ok()) << created.status();
    if (!id.empty()) {
      EXPECT_EQ(created->job.name(), "jobs/" + id);
    }
    id = created->job.name().substr(5);
    EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_SUCCEEDED);
    EXPECT_EQ(Get(id).targets(), names.size());
    const auto log = Follow(id);
    std::set<std::string> ended;
    for (const auto& event : log) {
      if (!event->has_node() || event->node().state() < orch::v1::NODE_STATE_SUCCEEDED) continue;
      EXPECT_TRUE(ended.insert(event->node().node()).second) << "two outcomes";
    }
    EXPECT_EQ(ended.size(), names.size());
  }
  for (const std::string& name : names) {
    EXPECT_EQ(node(name)->started(), 5) << name;
    for (const auto& [request, count] : node(name)->starts()) EXPECT_EQ(count, 1) << name;
  }
}

}  // namespace
}  // namespace orch::controller
