// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bus/broker/broker.h"
#include "bus/client/client.h"
#include "nodeagent/agent/agent.h"
#include "orch/bus/v1/presence.pb.h"
#include "test/testing/test_ca.h"

// A node agent and a controller that is nothing but a STOMP client, on the embedded broker, all in
// this thread; the journal is a real one. For tests.

namespace orch::nodeagent {

// Actions that do what the test says: node.ping answers at once, everything else when it is told
// to.
class FakeActions : public Actions {
 public:
  std::vector<orch::v1::NodeAction> Offered() const override;
  void Start(ActionCall call) override;
  void Resume(ActionCall call) override;
  void Cancel(const std::string& job_id) override;
  int running() const override { return static_cast<int>(calls.size()); }
  orch::v1::PuppetStatusResult PuppetState() const override { return puppet; }
  // Ends what runs, in the order of the request ids.
  void FinishAll(orch::v1::NodeState state);

  std::map<std::string, ActionCall> calls;  // by request id
  int started = 0;                          // mutating ones
  int resumed = 0;
  std::vector<std::string> cancelled;  // job ids
  orch::v1::PuppetStatusResult puppet;
};

class AgentTest : public ::testing::Test {
 protected:
  AgentTest();
  ~AgentTest() override;

  // The node; its journal and facts stay in their directory.
  void StartNode();
  void StopNode();
  // The options of the next StartNode.
  std::shared_ptr<const policy::Policy> own_policy_;
  int running_max_ = 16;
  std::string facts_expected_ = "{\"role\":\"web\"}";  // as JSON in one line

  orch::bus::v1::Request NewRequest();
  orch::bus::v1::Request NewPing();
  orch::bus::v1::Request NewRun();
  // Serialised, signed by the controller, published on the node's destination or, without names, as
  // a broadcast.
  void Send(const orch::bus::v1::Request& request);
  std::string Sign(const orch::bus::v1::Request& request);
  std::string SignAs(const trust::Credentials& signer, trust::Domain domain, std::string payload);
  void Publish(const std::string& destination, std::string body);
  std::string NodeDestination() const { return bus::Destinations().Node("main", "web1"); }

  // Runs everything until it holds; a test fails after 10 s.
  [[nodiscard]] bool Until(const std::function<bool()>& holds);
  void OnStrand(const std::function<void()>& work);
  // Everything sent before has been taken and come to its end, as far as it is not an action under
  // way; the pings that this takes leave no replies behind.
  void Settle();

  const LadderCounters& counters() const { return agent_->counters(); }
  uint64_t Stopped(Rung rung) const { return agent_->counters().at(rung); }
  // Replies to one request, oldest first.
  std::vector<orch::bus::v1::Reply> RepliesTo(const std::string& request_id) const;
  // Its outcome's state and reason, `REFUSED expired`; empty if there is none (yet).
  std::string OutcomeOf(const std::string& request_id) const;

  base::asio::io_context context_{1};
  base::Strand strand_{base::asio::make_strand(context_)};
  base::FakeClock clock_{absl::Now()};
  testing::TestCa ca_;
  std::string directory_ = testing::NewTestDirectory();
  std::shared_ptr<trust::Credentials> controller_, other_controller_, node_;
  std::vector<orch::bus::v1::Reply> replies_;
  std::vector<orch::bus::v1::Presence> presences_;
  FakeActions* actions_ = nullptr;  // of the node that runs

 private:
  void TakeReply(const bus::Delivery& delivery);

  std::unique_ptr<base::Worker> store_ = base::NewThreadWorker();
  std::unique_ptr<bus::Broker> broker_;
  std::unique_ptr<bus::Client> controller_client_;
  bool controller_connected_ = false;
  // The node's, in the order in which they are made.
  std::unique_ptr<FakeActions> fake_actions_;
  std::unique_ptr<JournalStore> journal_;
  std::unique_ptr<PuppetPathsFinder> paths_;
  std::unique_ptr<Facts> facts_;

 protected:
  std::unique_ptr<bus::Client> node_client_;
  std::unique_ptr<Agent> agent_;
};

}  // namespace orch::nodeagent
