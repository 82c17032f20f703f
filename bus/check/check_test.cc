// SPDX-License-Identifier: Apache-2.0
// The check on a real broker, as it should be and open, and on peers that misbehave.
#include "bus/check/check.h"

#include <gtest/gtest.h>

#include <optional>

#include "absl/strings/match.h"
#include "base/asio.h"
#include "bus/broker/broker.h"
#include "test/testing/loop.h"
#include "test/testing/stomp_peer.h"
#include "test/testing/test_ca.h"

namespace orch::bus {
namespace {

using trust::Role;

class CheckTest : public ::testing::Test {
 protected:
  void TearDown() override {
    credentials_.clear();
    broker_.reset();
    testing::RunReady(&io_);
  }

  void StartBroker(bool open) {
    BrokerConfig config;
    config.set_listen("127.0.0.1:0");
    config.set_insecure_loopback(open);
    base::asio::post(strand_, [this, config, open] {
      broker_ = std::make_unique<Broker>(
          strand_, config,
          open ? nullptr : testing::NewCredentials(&ca_, "broker1", Role::kController));
      const absl::Status listening = broker_->Listen();
      ASSERT_TRUE(listening.ok()) << listening;
      at_.address = broker_->address();
    });
    ASSERT_TRUE(testing::RunUntil(&io_, [this] { return !at_.address.empty(); }));
    Give(CHECK_ROLE_NODE, open, "web1.example.net", Role::kNode);
    Give(CHECK_ROLE_CONTROLLER, open, "controller", Role::kController);
    Give(CHECK_ROLE_STRANGER, open, "operator", Role::kUser);
  }

  void Give(CheckRole as, bool open, const std::string& name, Role role) {
    credentials_[as].streams = NewNetworkStreams(
        open ? nullptr : testing::NewCredentials(&ca_, name, role), open ? "" : "broker1");
  }

  absl::Status Run() {
    std::optional<absl::Status> ended;
    CheckNames names;
    names.node = "web1.example.net";
    names.controller = "controller";
    base::asio::co_spawn(strand_, RunCheck(strand_, at_, names, credentials_, &check_),
                         [&ended](std::exception_ptr, absl::Status status) { ended = status; });
    EXPECT_TRUE(testing::RunUntil(&io_, [&] { return ended.has_value(); }));
    return ended.value_or(absl::InternalError("the check did not end"));
  }

  const CheckRow& Row(CheckRole role, CheckVerb verb, const std::string& destination) {
    static const CheckRow none;
    for (const CheckRow& row : check_.rows()) {
      if (row.role() == role && row.verb() == verb && row.destination() == destination) return row;
    }
    ADD_FAILURE() << destination << " was not tried";
    return none;
  }

  base::asio::io_context io_;
  base::Strand strand_ = base::asio::make_strand(io_);
  testing::TestCa ca_;
  std::unique_ptr<Broker> broker_;
  CheckBroker at_;
  std::map<CheckRole, CheckCredentials> credentials_;
  BrokerCheck check_;
};

TEST_F(CheckTest, TheEmbeddedBrokerGivesNoSurprise) {
  StartBroker(false);
  const absl::Status status = Run();
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(check_.surprises(), 0u) << CheckTable(check_);
  EXPECT_GT(check_.rows_size(), 40);
  EXPECT_EQ(Row(CHECK_ROLE_STRANGER, CHECK_VERB_CONNECT, "").found(), CHECK_FINDING_REFUSED);
  EXPECT_EQ(Row(CHECK_ROLE_NODE, CHECK_VERB_SEND, "/topic/orch.main.request").found(),
            CHECK_FINDING_REFUSED);
}

TEST_F(CheckTest, AnOpenBrokerIsFull) {
  StartBroker(true);
  at_.timeout = absl::Seconds(1);  // for what is taken and not delivered
  const absl::Status status = Run();
  ASSERT_TRUE(status.ok()) << status;
  for (const auto& [role, verb, destination] :
       {std::tuple(CHECK_ROLE_NODE, CHECK_VERB_SEND, "/topic/orch.main.request"),
        {CHECK_ROLE_NODE, CHECK_VERB_SUBSCRIBE, "/queue/orch.main.reply.controller"},
        {CHECK_ROLE_CONTROLLER, CHECK_VERB_SEND, "/topic/orch.main.presence"},
        {CHECK_ROLE_STRANGER, CHECK_VERB_CONNECT, ""},
        {CHECK_ROLE_STRANGER, CHECK_VERB_SEND, "/topic/orch.main.request"}}) {
    EXPECT_TRUE(Row(role, verb, destination).surprise()) << destination;
    EXPECT_EQ(Row(role, verb, destination).found(), CHECK_FINDING_ALLOWED) << destination;
  }
  EXPECT_FALSE(Row(CHECK_ROLE_NODE, CHECK_VERB_SEND, "/topic/orch.main.presence").surprise());
}

TEST_F(CheckTest, ABrokerThatIsNotThereIsUnreachable) {
  StartBroker(false);
  broker_.reset();
  testing::RunReady(&io_);
  EXPECT_TRUE(absl::IsUnavailable(Run()));
}

TEST_F(CheckTest, ARoleThatMustConnectAndCannotIsASurprise) {
  auto peer = std::make_shared<testing::StompPeer>(strand_);
  peer->NextConnection().Expect(testing::Connect()).Reply(testing::Error("Bad CONNECT"));
  at_.address = "memory";
  credentials_[CHECK_ROLE_NODE].streams = peer;
  const absl::Status status = Run();
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(check_.rows_size(), 1);
  EXPECT_TRUE(check_.rows(0).surprise());
  EXPECT_EQ(check_.rows(0).answer(), "Bad CONNECT");
}

TEST_F(CheckTest, ABrokerThatGoesAwayInTheMiddleIsUnreachable) {
  auto peer = std::make_shared<testing::StompPeer>(strand_);
  peer->NextConnection().Expect(testing::Connect()).Reply(testing::Connected());
  peer->RefuseConnection("gone");
  at_.address = "memory";
  credentials_[CHECK_ROLE_NODE].streams = peer;
  const absl::Status status = Run();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "node can't connect any more")) << status;
}

}  // namespace
}  // namespace orch::bus
