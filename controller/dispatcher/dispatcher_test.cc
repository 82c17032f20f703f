// SPDX-License-Identifier: Apache-2.0
#include "controller/dispatcher/dispatcher.h"

#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "base/log.h"
#include "controller/dispatcher/dispatcher_fixture.h"

namespace orch::controller {
namespace {

using orch::bus::v1::Request;
using orch::testing::SimNodeOptions;

TEST_F(DispatcherTest, APingReachesEverybodyInOneRoundTrip) {
  for (const char* name : {"a", "b", "c"}) AddNode(name);
  const std::string id = Run(Ping());
  const orch::v1::Job job = End(id);
  EXPECT_EQ(job.state(), orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(job.targets(), 3u);
  EXPECT_TRUE(audit_->frozen.empty());
  ASSERT_EQ(audit_->ended.size(), 1u);
  EXPECT_EQ(audit_->ended[0].state(), orch::v1::JOB_STATE_SUCCEEDED);
  const auto nodes = Nodes(id);
  ASSERT_EQ(nodes.size(), 3u);
  EXPECT_TRUE(nodes.at("b").result().has_node_ping());
  EXPECT_EQ(node("a")->heard(Request::kAction), 1);
}

TEST_F(DispatcherTest, AFreshControllerAsksWhoIsThere) {
  AddQuietNode("a");
  AddQuietNode("b");
  KillController();
  StartController();
  Until([this] {
    auto a = GetNode("a"), b = GetNode("b");
    return a.ok() && b.ok() && a->has_facts_time() && b->has_facts_time();
  });
}

TEST_F(DispatcherTest, AConnectionThatComesBackAtOnceIsFollowedByTheQuestionToo) {
  options_.everybody_pause = absl::Seconds(2);
  KillController();
  StartController();
  AddQuietNode("a");
  KillBroker();
  Until([this] { return !nodes_.at("a").connected; });
  StartBroker();
  Until([this] { return nodes_.at("a").connected; });
  Until([this] { return GetNode("a").ok(); });
}

TEST_F(DispatcherTest, BeaconsAndRevocationListsAreSentOnConnect) {
  AddQuietNode("a");
  KillController();
  StartController();
  Until([this] {
    return node("a")->heard(Request::kBeacon) >= 1 && node("a")->heard(Request::kCrl) >= 1;
  });
}

TEST_F(DispatcherTest, NobodyExpectedIsStillAnswered) {
  AddQuietNode("a");
  const std::string id = Run(Ping());
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(Get(id).targets(), 1u);
}

TEST_F(DispatcherTest, TheSilentAreNamed) {
  AddNode("a");
  AddNode("b");
  node("b")->options().silent = true;
  AdmittedJob ping = Ping();
  ping.spec.mutable_timeout()->set_nanos(200'000'000);
  const std::string id = Run(ping);
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_FAILED);
  EXPECT_EQ(Nodes(id).at("a").state(), orch::v1::NODE_STATE_SUCCEEDED);
  EXPECT_EQ(Nodes(id).at("b").state(), orch::v1::NODE_STATE_NO_RESPONSE);
}

TEST_F(DispatcherTest, TargetsAreDecidedByTheNode) {
  AddNode("web", SimNodeOptions{.identity = "", .facts = R"({"role":"web"})"});
  AddNode("db", SimNodeOptions{.identity = "", .facts = R"({"role":"db"})"});
  // The roster is behind: this one has become a web server since.
  node("db")->options().facts = R"({"role":"web"})";
  AdmittedJob ping = Ping();
  ping.spec.mutable_target()->add_facts("role=web");
  const std::string id = Run(ping);
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_TRUE(Nodes(id).contains("web"));
}

TEST_F(DispatcherTest, NamedNodesOnly) {
  for (const char* name : {"a", "b"}) AddNode(name);
  AdmittedJob ping = Ping();
  ping.spec.add_nodes("b");
  ping.spec.add_nodes("unheard-of");
  ping.spec.mutable_timeout()->set_nanos(200'000'000);
  const std::string id = Run(ping);
  End(id);
  const auto nodes = Nodes(id);
  ASSERT_EQ(nodes.size(), 2u);
  EXPECT_EQ(nodes.at("b").state(), orch::v1::NODE_STATE_SUCCEEDED);
  EXPECT_EQ(nodes.at("unheard-of").state(), orch::v1::NODE_STATE_NO_RESPONSE);
}

TEST_F(DispatcherTest, ALimitNamesTheChosen) {
  for (const char* name : {"a", "b", "c"}) AddNode(name);
  AdmittedJob ping = Ping();
  ping.spec.mutable_rollout()->mutable_limit()->set_count(2);
  const std::string id = Run(ping);
  EXPECT_EQ(End(id).targets(), 2u);
  EXPECT_FALSE(Nodes(id).contains("c"));
}

TEST_F(DispatcherTest, ALimitOfThePolicyCountsThoseThatMayMatchToo) {
  // The roster knows the nodes, but not their facts.
  for (const char* name : {"a", "b", "c"}) {
    AddQuietNode(name, SimNodeOptions{.identity = "", .facts = R"({"role":"web"})"});
    boost::asio::post(node_strand_, [this, name] { node(name)->SendPresence(true, false); });
    Until([&] { return GetNode(name).ok(); });
  }
  AdmittedJob ping = Ping();
  ping.spec.mutable_target()->add_facts("role=web");
  ping.decision.max_nodes = 1;
  EXPECT_EQ(api::ReasonOf(Create(ping).status()), "POLICY_LIMIT");
  for (const char* name : {"a", "b", "c"}) EXPECT_EQ(node(name)->heard(Request::kAction), 0);
  ping.spec.mutable_rollout()->mutable_limit()->set_count(1);
  EXPECT_EQ(End(Run(ping)).targets(), 1u);
  ping.spec.mutable_rollout()->clear_limit();
  ping.decision.max_nodes = 3;
  EXPECT_EQ(End(Run(ping)).targets(), 3u);
}

TEST_F(DispatcherTest, AMutatingJobIsDiscoveredFrozenAndRun) {
  for (const char* name : {"a", "b", "c"}) {
    AddNode(name, SimNodeOptions{.identity = "", .progress = 3});
  }
  const std::string id = Run(PuppetRun());
  const auto log = Follow(id);
  EXPECT_EQ(Get(id).state(), orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(Get(id).puppet_verdicts(0).count(), 3u);
  ASSERT_EQ(audit_->frozen.size(), 1u);
  EXPECT_EQ(audit_->frozen[0].second, 3u);
  EXPECT_EQ(log.front()->started().nodes_size(), 3);
  int progress = 0;
  for (const auto& event : log) progress += event->has_progress();
  EXPECT_EQ(progress, 9);
  for (const char* name : {"a", "b", "c"}) {
    EXPECT_EQ(node(name)->started(), 1);
    EXPECT_EQ(node(name)->heard(Request::kDiscover), 1);
  }
}

TEST_F(DispatcherTest, NothingMatched) {
  AddNode("a", SimNodeOptions{.identity = "", .facts = R"({"role":"db"})"});
  AdmittedJob run = PuppetRun();
  run.spec.mutable_target()->add_facts("role=web");
  const std::string id = Run(run);
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_FAILED);
  EXPECT_EQ(Get(id).message(), "no node matched");
  EXPECT_EQ(Get(id).targets(), 0u);
}

TEST_F(DispatcherTest, TheUnwillingAndTheSilentAreSentNothing) {
  AddNode("ok");
  AddNode("denied", SimNodeOptions{.identity = "", .facts = R"({"env":"prod"})"});
  AddNode("silent");
  AddNode("unable", SimNodeOptions{.identity = "", .actions = {"node.ping"}});
  node("silent")->options().silent = true;
  AdmittedJob run = PuppetRun();
  run.decision.conditions.push_back({policy::Effect::kDeny, "env=prod", "policy.yaml:3", true});
  const std::string id = Run(run);
  End(id);
  const auto nodes = Nodes(id);
  EXPECT_EQ(nodes.at("ok").state(), orch::v1::NODE_STATE_SUCCEEDED);
  EXPECT_EQ(nodes.at("denied").state(), orch::v1::NODE_STATE_DENIED);
  EXPECT_EQ(nodes.at("silent").state(), orch::v1::NODE_STATE_NO_RESPONSE);
  EXPECT_TRUE(nodes.at("silent").has_last_seen());
  EXPECT_EQ(nodes.at("unable").state(), orch::v1::NODE_STATE_REFUSED);
  EXPECT_EQ(nodes.at("unable").reason(), "unsupported");
  for (const char* name : {"denied", "silent", "unable"}) {
    EXPECT_EQ(node(name)->heard(Request::kAction), 0) << name;
  }
  EXPECT_EQ(audit_->frozen[0].second, 1u);
}

TEST_F(DispatcherTest, ManyNodesWantTheirNumber) {
  options_.confirm_above = 1;
  KillController();
  StartController();
  AddNode("a");
  AddNode("b");
  auto refused = Create(PuppetRun());
  EXPECT_EQ(api::ReasonOf(refused.status()), "CONFIRMATION_REQUIRED");
  EXPECT_EQ(node("a")->heard(Request::kAction), 0);
  EXPECT_TRUE(audit_->frozen.empty());
  AdmittedJob run = PuppetRun();
  run.spec.set_expect_nodes(2);
  EXPECT_EQ(End(Run(run)).state(), orch::v1::JOB_STATE_SUCCEEDED);
}

TEST_F(DispatcherTest, WhatCantBeAuditedIsRefused) {
  AddNode("a");
  audit_->answer = absl::UnavailableError("disk full");
  auto refused = Create(PuppetRun());
  EXPECT_EQ(api::ReasonOf(refused.status()), "AUDIT_UNAVAILABLE");
  EXPECT_EQ(node("a")->heard(Request::kAction), 0);
}

TEST_F(DispatcherTest, ADryRunPublishesNothing) {
  AddNode("a");
  AddNode("b");
  AdmittedJob run = PuppetRun();
  run.validate_only = true;
  auto created = Create(run);
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->nodes, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(created->job.targets(), 2u);
  EXPECT_EQ(node("a")->heard(Request::kDiscover), 0);
  auto page = Await<absl::StatusOr<JobPage>>([&](auto done) {
    Post([=](Dispatcher& there) {
      there.ListJobs({.page_size = 10}, {.caller = "", .everybody = true}, done);
    });
  });
  EXPECT_TRUE(page->jobs.empty());
}

TEST_F(DispatcherTest, ADryRunSaysWhoWouldNotStartAndNeedsNoConfirmation) {
  options_.confirm_above = 1;
  KillController();
  StartController();
  AddNode("db", SimNodeOptions{.identity = "", .facts = R"({"role":"db"})"});
  AddNode("old",
          SimNodeOptions{.identity = "", .facts = R"({"role":"web"})", .actions = {"node.ping"}});
  AddNode("web", SimNodeOptions{.identity = "", .facts = R"({"role":"web"})"});
  AdmittedJob run = PuppetRun();
  run.validate_only = true;
  run.decision.otherwise = policy::Effect::kDeny;
  run.decision.conditions.push_back(
      {.effect = policy::Effect::kAllow, .where = "role=web", .rule = "policy.yaml:3"});
  for (const char* name : {"db", "nobody", "old", "web"}) run.spec.add_nodes(name);
  const auto created = Create(run);
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->nodes, std::vector<std::string>{"web"});
  ASSERT_EQ(created->others.size(), 3u);
  EXPECT_EQ(created->others[0].node(), "db");
  EXPECT_EQ(created->others[0].state(), orch::v1::NODE_STATE_DENIED);
  EXPECT_EQ(created->others[1].state(), orch::v1::NODE_STATE_NO_RESPONSE);
  EXPECT_EQ(created->others[2].state(), orch::v1::NODE_STATE_REFUSED);
  EXPECT_EQ(created->job.targets(), 4u) << "what --expect-nodes counts";
}

// What `find` makes for a caller that may list some nodes only.
TEST_F(DispatcherTest, AListingTellsNothingOfNodesThatTheCallerMayNotSee) {
  AddNode("db", SimNodeOptions{.identity = "", .facts = R"({"role":"db"})"});
  AddNode("silent-db", SimNodeOptions{.identity = "", .facts = R"({"role":"db"})"});
  AddNode("silent-web", SimNodeOptions{.identity = "", .facts = R"({"role":"web"})"});
  AddNode("web", SimNodeOptions{.identity = "", .facts = R"({"role":"web"})"});
  for (const char* name : {"silent-db", "silent-web"}) node(name)->options().silent = true;
  AdmittedJob find = Ping();
  find.listing = true;
  find.decision.otherwise = policy::Effect::kDeny;
  find.decision.conditions.push_back(
      {.effect = policy::Effect::kAllow, .where = "role=web", .rule = "policy.yaml:3"});
  find.spec.mutable_timeout()->set_nanos(300'000'000);
  for (const bool named : {false, true}) {
    if (named) {
      for (const char* name : {"db", "nobody", "silent-db", "silent-web", "web"})
        find.spec.add_nodes(name);
    }
    const std::string id = Run(find);
    End(id);
    const auto nodes = Nodes(id);
    ASSERT_EQ(nodes.size(), 2u) << named;
    EXPECT_EQ(nodes.at("silent-web").state(), orch::v1::NODE_STATE_NO_RESPONSE);
    EXPECT_EQ(nodes.at("web").state(), orch::v1::NODE_STATE_SUCCEEDED);
  }
}

TEST_F(DispatcherTest, AListingTellsAHiddenNodeFromNoneByNothing) {
  AddNode("db", SimNodeOptions{.identity = "", .facts = R"({"role":"db"})"});
  std::set<std::string> told;
  for (const char* name : {"db", "nobody"}) {
    for (const char* fact : {"role=db", "role=mail"}) {
      AdmittedJob find = Ping();
      find.listing = true;
      find.decision.otherwise = policy::Effect::kDeny;
      find.decision.conditions.push_back(
          {.effect = policy::Effect::kAllow, .where = "role=web", .rule = "policy.yaml:3"});
      find.spec.mutable_timeout()->set_nanos(100'000'000);
      find.spec.add_nodes(name);
      find.spec.mutable_target()->add_facts(fact);
      const orch::v1::Job job = End(Run(find));
      told.insert(absl::StrCat(job.state(), " ", job.targets(), " ", job.message()));
    }
  }
  EXPECT_EQ(told.size(), 1u) << *told.rbegin();
}

TEST_F(DispatcherTest, TheWindowIsKept) {
  for (const char* name : {"a", "b", "c", "d"}) {
    AddNode(name, SimNodeOptions{.identity = "", .hold = true});
  }
  AdmittedJob run = PuppetRun();
  run.spec.mutable_rollout()->set_concurrency(2);
  const std::string id = Run(run);
  const auto started = [this] {
    int sum = 0;
    for (const auto& [name, member] : nodes_) sum += member.node->started();
    return sum;
  };
  Until([&] { return started() == 2; });
  orch::testing::RunReady(&io_);
  EXPECT_EQ(started(), 2);
  boost::asio::post(node_strand_, [this] { node("a")->Release(); });
  Until([&] { return started() == 3; });
  for (auto& [name, member] : nodes_) {
    boost::asio::post(node_strand_, [&member] { member.node->Release(); });
  }
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(started(), 4);
}

TEST_F(DispatcherTest, ARollingJobIsNotALineForEachNode) {
  constexpr int kNodes = 3 * kPublishedLoggedMax;
  for (int i = 0; i < kNodes; ++i) AddNode(absl::StrCat("n", i));
  base::SetUpLog("test", base::LogLevel::kInfo, base::LogFormat::kText);
  ::testing::internal::CaptureStderr();
  AdmittedJob run = PuppetRun();
  run.spec.mutable_rollout()->set_concurrency(1);
  run.spec.set_expect_nodes(kNodes);
  const std::string id = Run(run);
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_SUCCEEDED);
  const std::string log = ::testing::internal::GetCapturedStderr();
  const auto count = [&log](const std::string& text) {
    int found = 0;
    for (size_t at = log.find(text); at != std::string::npos; at = log.find(text, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(count("request published"), kPublishedLoggedMax);
  EXPECT_EQ(count("job created"), 1);
  EXPECT_LE(count("\n"), kPublishedLoggedMax + 5);
  const DispatcherMetrics metrics = Metrics();
  EXPECT_EQ(metrics.outcomes[orch::v1::NODE_STATE_SUCCEEDED], uint64_t{kNodes});
  uint64_t measured = 0;
  for (const uint64_t bucket : metrics.outcome.counts()) measured += bucket;
  EXPECT_EQ(measured, uint64_t{kNodes});
}

TEST_F(DispatcherTest, CancelReachesTheNodesAndEndsTheRest) {
  for (const char* name : {"a", "b", "c"}) {
    AddNode(name, SimNodeOptions{.identity = "", .hold = true});
  }
  AdmittedJob run = PuppetRun();
  run.spec.mutable_rollout()->set_concurrency(1);
  const std::string id = Run(run);
  Until([this] { return node("a")->started() == 1; });
  auto cancelled = Cancel(id);
  ASSERT_TRUE(cancelled.ok());
  EXPECT_EQ(cancelled->state(), orch::v1::JOB_STATE_STOPPING);
  Until([this] { return node("c")->heard(Request::kCancel) == 1; });
  boost::asio::post(node_strand_, [this] { node("a")->Release(); });
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(Nodes(id).at("a").state(), orch::v1::NODE_STATE_SUCCEEDED);
  EXPECT_EQ(Nodes(id).at("c").state(), orch::v1::NODE_STATE_CANCELLED);
  EXPECT_EQ(node("c")->started(), 0);
  EXPECT_EQ(Cancel(id)->state(), orch::v1::JOB_STATE_CANCELLED);
}

TEST_F(DispatcherTest, PauseAndResume) {
  for (const char* name : {"a", "b"}) AddNode(name, SimNodeOptions{.identity = "", .hold = true});
  AdmittedJob run = PuppetRun();
  run.spec.mutable_rollout()->set_concurrency(1);
  const std::string id = Run(run);
  const auto change = [&](bool pause) {
    return Change(pause ? JobChange::kPause : JobChange::kResume, id);
  };
  EXPECT_EQ(change(false).status().code(), absl::StatusCode::kFailedPrecondition);
  Until([this] { return node("a")->started() == 1; });
  EXPECT_EQ(change(true)->state(), orch::v1::JOB_STATE_PAUSED);
  boost::asio::post(node_strand_, [this] { node("a")->Release(); });
  Until([&] { return Nodes(id).at("a").state() == orch::v1::NODE_STATE_SUCCEEDED; });
  EXPECT_EQ(node("b")->started(), 0);
  node("b")->options().hold = false;
  EXPECT_TRUE(change(false).ok());
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(change(true).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(DispatcherTest, OneKeyIsOneJob) {
  AddNode("a");
  AdmittedJob run = PuppetRun();
  run.idempotency_key = "k";
  std::vector<std::string> names;
  for (int i = 0; i < 3; ++i) {
    Post([&](Dispatcher& there) {
      there.CreateJob(run, [&names](absl::StatusOr<CreatedJob> created) {
        names.push_back(created.ok() ? created->job.name() : created.status().ToString());
      });
    });
  }
  Until([&] { return names.size() == 3; });
  EXPECT_EQ(names[0], names[1]);
  EXPECT_EQ(names[0], names[2]);
  End(names[0].substr(5));
  EXPECT_EQ(Create(run)->job.name(), names[0]);
  EXPECT_EQ(node("a")->started(), 1);
  run.spec.mutable_action()->mutable_puppet_run()->set_noop(true);
  EXPECT_EQ(Create(run).status().code(), absl::StatusCode::kAlreadyExists);
  run.caller = "cert=other";
  EXPECT_NE(Create(run)->job.name(), names[0]);
}

}  // namespace
}  // namespace orch::controller
