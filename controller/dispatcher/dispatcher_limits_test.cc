// SPDX-License-Identifier: Apache-2.0
// What holds over several jobs: rights that change while they run, budgets, shares, limits of a
// rule.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "api/errors.h"
#include "controller/admission/resolution.h"
#include "controller/context/start_budget.h"
#include "controller/dispatcher/dispatcher_fixture.h"

namespace orch::controller {
namespace {

using orch::testing::SimNodeOptions;

class LimitsTest : public DispatcherTest {};

TEST_F(LimitsTest, AJobWhoseCallerLosesTheRightStopsStarting) {
  for (const char* name : {"a", "b"}) AddNode(name, SimNodeOptions{.identity = "", .hold = true});
  AdmittedJob run = PuppetRun();
  run.spec.mutable_rollout()->set_concurrency(1);
  const std::string id = Run(run);
  Until([this] { return node("a")->started() == 1; });
  Post([](Dispatcher& there) {
    there.SetJudge([](const std::string&, const orch::v1::JobSpec&, bool) {
      policy::Decision decision;
      decision.rule = "default deny";
      return decision;
    });
  });
  Until([&] { return Get(id).state() == orch::v1::JOB_STATE_STOPPING; });
  boost::asio::post(node_strand_, [this] { node("a")->Release(); });
  const orch::v1::Job job = End(id);
  EXPECT_EQ(job.state(), orch::v1::JOB_STATE_STOPPED);
  EXPECT_EQ(job.message(), "stopped: cert=operator may no longer do puppet.run: default deny");
  EXPECT_EQ(Nodes(id).at("b").state(), orch::v1::NODE_STATE_CANCELLED);
  EXPECT_EQ(node("b")->started(), 0);
}

TEST_F(LimitsTest, AResumeIsJudgedForTheJobsCallerToo) {
  for (const char* name : {"a", "b"}) AddNode(name, SimNodeOptions{.identity = "", .hold = true});
  AdmittedJob run = PuppetRun();
  run.spec.mutable_rollout()->set_concurrency(1);
  const std::string id = Run(run);
  Until([this] { return node("a")->started() == 1; });
  ASSERT_TRUE(Change(JobChange::kPause, id).ok());
  Post([](Dispatcher& there) {
    there.SetJudge([](const std::string& caller, const orch::v1::JobSpec&, bool) {
      policy::Decision decision;
      if (caller == "cert=admin") decision.otherwise = policy::Effect::kAllow;
      return decision;
    });
  });
  EXPECT_EQ(Change(JobChange::kResume, id, "cert=admin").status().code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(node("b")->started(), 0);
}

// At most one node under way over all jobs; keeps what it was told.
class OneAtATime : public StartBudget {
 public:
  bool TryTake(const NodeStart& start) override {
    if (!taken.empty()) return false;
    taken = start.node;
    return true;
  }
  void Adopt(const NodeStart& start) override { taken = start.node; }
  void OnEnded(const NodeStart& start, const StartedNodeEnd& end) override {
    EXPECT_EQ(start.node, taken);
    EXPECT_EQ(start.action, "puppet.run");
    taken.clear();
    ends.push_back(end);
    Wake();
  }
  std::string taken;
  std::vector<StartedNodeEnd> ends;
};

TEST_F(LimitsTest, ABudgetOfStartsHoldsOverAllJobs) {
  KillController();
  const auto budget = std::make_shared<OneAtATime>();
  budget_ = budget;
  StartController();
  for (const char* name : {"a", "b"}) AddNode(name, SimNodeOptions{.identity = "", .hold = true});
  AdmittedJob first = PuppetRun(), second = PuppetRun();
  first.spec.add_nodes("a");
  second.spec.add_nodes("b");
  const std::string first_id = Run(first);
  Until([this] { return node("a")->started() == 1; });
  const std::string second_id = Run(second);
  EXPECT_EQ(node("b")->started(), 0) << "a has the only place";
  boost::asio::post(node_strand_, [this] { node("a")->Release(); });
  End(first_id);
  Until([this] { return node("b")->started() == 1; });
  boost::asio::post(node_strand_, [this] { node("b")->Release(); });
  EXPECT_EQ(End(second_id).state(), orch::v1::JOB_STATE_SUCCEEDED);
  ASSERT_EQ(budget->ends.size(), 2u);
  EXPECT_EQ(budget->ends[0].outcome, orch::v1::NODE_STATE_SUCCEEDED);
  EXPECT_TRUE(budget->ends[0].length.has_value());
}

TEST_F(LimitsTest, ALimitOfThePolicyIsOverAllJobsOfItsRule) {
  for (const char* name : {"a", "b"}) AddNode(name, SimNodeOptions{.identity = "", .hold = true});
  AdmittedJob first = PuppetRun();
  first.spec.add_nodes("a");
  first.decision.max_percent = 50;
  first.decision.rule = "policy.yaml:7";
  const std::string id = Run(first);
  AdmittedJob second = first;
  second.spec.clear_nodes();
  second.spec.add_nodes("b");
  EXPECT_EQ(api::ReasonOf(Create(second).status()), "POLICY_LIMIT") << "a is under way";
  AdmittedJob other = second;
  other.decision.rule = "policy.yaml:9";
  EXPECT_TRUE(Create(other).ok()) << "another rule has a limit of its own";
  boost::asio::post(node_strand_, [this] {
    node("a")->Release();
    node("b")->Release();
  });
  End(id);
  EXPECT_TRUE(Create(second).ok()) << "nobody is under way any more";
}

TEST_F(LimitsTest, NamesThatNobodyHeardOfAreACountAndAShare) {
  AddNode("a");
  AdmittedJob ping = Ping();
  ping.spec.add_nodes("a");
  for (int i = 0; i < 49'000; ++i) ping.spec.add_nodes("x" + std::to_string(i));
  ping.spec.mutable_timeout()->set_seconds(30);
  const std::string id = Run(ping);
  const orch::v1::Job job = Get(id);
  EXPECT_EQ(job.targets(), kUnheardNamesMax + 1);
  EXPECT_EQ(job.message(), std::to_string(49'000 - kUnheardNamesMax) +
                               " more names of nodes that are not known: nothing was sent to them");
  Run(ping);
  EXPECT_EQ(api::ReasonOf(Create(ping).status()), "TOO_MANY_NAMES");
  ping.caller = "cert=other";
  EXPECT_TRUE(Create(ping).ok());
}

}  // namespace
}  // namespace orch::controller
