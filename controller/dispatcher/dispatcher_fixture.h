// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/asio.h"
#include "bus/broker/broker.h"
#include "bus/client/client.h"
#include "bus/stream/stream.h"
#include "controller/dispatcher/dispatcher.h"
#include "test/testing/loop.h"
#include "test/testing/sim_node.h"
#include "test/testing/test_ca.h"

namespace orch::controller {

// Takes the dispatcher's two records; refuses where told.
class FakeAudit : public AuditSink {
 public:
  void PostFrozen(orch::v1::Job job, uint32_t count,
                  std::function<void(absl::Status)> done) override {
    frozen.emplace_back(std::move(job), count);
    done(answer);
  }
  void PostJobEnd(orch::v1::Job job) override { ended.push_back(std::move(job)); }

  absl::Status answer;
  std::vector<std::pair<orch::v1::Job, uint32_t>> frozen;
  std::vector<orch::v1::Job> ended;
};

// Streams that end in whichever broker runs at the moment.
class SwitchedStreams : public bus::StreamFactory {
 public:
  SwitchedStreams(std::unique_ptr<bus::Broker>* broker, trust::Peer as)
      : broker_(broker), as_(std::move(as)) {}
  base::Awaitable<absl::StatusOr<std::unique_ptr<bus::Stream>>> Connect(
      base::Strand strand, std::string address) override;

 private:
  std::unique_ptr<bus::Broker>* const broker_;  // null: nobody listens
  const trust::Peer as_;
};

// A dispatcher with a real store, a real broker in memory and simulated nodes that sign for real,
// all on one loop that the test drives.
class DispatcherTest : public ::testing::Test {
 protected:
  DispatcherTest();
  ~DispatcherTest() override;

  // Starts the controller (again, on the same store) and waits for the bus.
  void StartController();
  // Ends it as SIGKILL would: nothing is said or written any more.
  void KillController();
  // Everything that it holds is gone.
  void KillBroker();
  void StartBroker();
  // A node of the roster, with its facts.
  orch::testing::SimNode* AddNode(const std::string& name,
                                  orch::testing::SimNodeOptions options = {});
  // A node that has not said anything yet.
  orch::testing::SimNode* AddQuietNode(const std::string& name,
                                       orch::testing::SimNodeOptions options = {});
  orch::testing::SimNode* node(const std::string& name) { return nodes_.at(name).node.get(); }

  static AdmittedJob Ping();
  static AdmittedJob PuppetRun();
  absl::StatusOr<CreatedJob> Create(AdmittedJob job);
  // The id of a job that is created without a mistake.
  std::string Run(AdmittedJob job);
  orch::v1::Job Get(const std::string& id);
  // Reads the log from `after` to the end of the job.
  std::vector<std::shared_ptr<const orch::v1::JobEvent>> Follow(const std::string& id,
                                                                uint64_t after = 0);
  // Waits for its end.
  orch::v1::Job End(const std::string& id);
  std::map<std::string, orch::v1::JobNode> Nodes(const std::string& id);
  absl::StatusOr<orch::v1::Job> Cancel(const std::string& id);
  absl::StatusOr<orch::v1::Node> GetNode(const std::string& name);
  DispatcherMetrics Metrics();
  void Until(const std::function<bool()>& condition) {
    ASSERT_TRUE(orch::testing::RunUntil(&io_, condition));
  }
  // Calls the dispatcher on its strand.
  template <typename Call>
  void Post(Call call) {
    dispatcher_->port().Post(std::move(call));
  }
  // Pauses, resumes or cancels.
  absl::StatusOr<orch::v1::Job> Change(JobChange change, const std::string& id,
                                       const std::string& caller = "cert=operator",
                                       const std::string& reason = "");
  DispatcherStatus Status();
  // Waits for an answer that comes by callback.
  template <typename T>
  T Await(const std::function<void(std::function<void(T)>)>& call) {
    auto answer = std::make_shared<std::optional<T>>();
    call([answer](T value) { answer->emplace(std::move(value)); });
    EXPECT_TRUE(orch::testing::RunUntil(&io_, [&] { return answer->has_value(); }));
    return std::move(**answer);
  }

  struct Member {
    std::unique_ptr<bus::Client> client;
    std::unique_ptr<orch::testing::SimNode> node;
    bool connected = false;
  };

  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  base::Strand strand_, bus_strand_, broker_strand_, node_strand_;
  orch::testing::TestCa ca_;
  std::shared_ptr<trust::Credentials> credentials_;
  std::unique_ptr<bus::Broker> broker_;
  std::shared_ptr<FakeAudit> audit_ = std::make_shared<FakeAudit>();
  std::shared_ptr<StartBudget> budget_ = std::make_shared<UnlimitedStarts>();
  DispatcherOptions options_;
  std::unique_ptr<bus::Client> client_;
  std::shared_ptr<Dispatcher> dispatcher_;
  std::map<std::string, Member> nodes_;
  uint64_t next_reader_ = 1;
};

}  // namespace orch::controller
