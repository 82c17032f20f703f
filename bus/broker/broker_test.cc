// SPDX-License-Identifier: Apache-2.0
// The broker with its transports: memory, TCP and TLS.
#include "bus/broker/broker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "bus/broker/broker_fixture.h"

namespace orch::bus {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(BrokerTest, MovesMessagesOverTcp) {
  MakePlain();
  const auto controller = Plain(), node = Plain();
  RoundTrip(controller.get(), node.get(), 100);
  EXPECT_EQ(broker_->status().connections, 2u);
  EXPECT_GE(broker_->status().frames_out, 6u);
}

TEST_F(BrokerTest, MovesLargeMessagesOverTcp) {
  MakePlain();
  const auto controller = Plain(), node = Plain();
  RoundTrip(controller.get(), node.get(), 1 << 20);
}

TEST_F(BrokerTest, MovesMessagesOverTls) {
  MakeTls();
  const auto controller = Tls("ctl", trust::Role::kController);
  const auto node = Tls("web01", trust::Role::kNode);
  RoundTrip(controller.get(), node.get(), 100);
}

TEST_F(BrokerTest, MovesLargeMessagesOverTls) {
  MakeTls();
  const auto controller = Tls("ctl", trust::Role::kController);
  const auto node = Tls("web01", trust::Role::kNode);
  RoundTrip(controller.get(), node.get(), 1 << 20);
}

TEST_F(BrokerTest, MovesMessagesBetweenMemoryAndTls) {
  MakeTls();
  const auto controller = InMemory("ctl", trust::Role::kController);
  const auto node = Tls("web01", trust::Role::kNode);
  RoundTrip(controller.get(), node.get(), 1 << 20);
}

TEST_F(BrokerTest, ServesMemoryWithoutListening) {
  Make({});
  const auto controller = InMemory("ctl", trust::Role::kController);
  const auto node = InMemory("web01", trust::Role::kNode);
  RoundTrip(controller.get(), node.get(), 200'000);
  EXPECT_EQ(broker_->address(), "");
}

TEST_F(BrokerTest, TheCertificateDecidesWhatOneMay) {
  MakeTls();
  const auto node = Tls("web01", trust::Role::kNode);
  Ready(node.get());
  node->Send("/topic/orch.main.request", "x");
  Until([&] { return node->ended(); });
  ASSERT_TRUE(node->Has("ERROR"));
  EXPECT_EQ(*node->frames().back().Find("message"),
            "SEND /topic/orch.main.request: node web01 may not send there");
}

TEST_F(BrokerTest, MemoryPeersHaveTheRightsOfTheirRole) {
  Make({});
  const auto user = InMemory("alice", trust::Role::kUser);
  Until([&] { return user->connected(); });
  user->Connect();
  Until([&] { return user->ended(); });
  ASSERT_TRUE(user->Has("ERROR"));
  EXPECT_THAT(*user->frames().back().Find("message"), HasSubstr("may not connect"));
}

TEST_F(BrokerTest, UsersEndInTheHandshake) {
  MakeTls();
  const auto user = Tls("alice", trust::Role::kUser);
  Until([&] { return user->connected() || user->ended(); });
  // With TLS 1.3 the client learns of it with its first read.
  if (user->connected()) user->Connect();
  Until([&] { return user->ended(); });
  EXPECT_FALSE(user->Has("CONNECTED"));
  EXPECT_EQ(broker_->status().connections_total, 0u);
}

TEST_F(BrokerTest, AForeignCertificateEndsInTheHandshake) {
  MakeTls();
  testing::TestCa other("Other CA");
  const WireClient stranger(
      &io_, NewNetworkStreams(testing::NewCredentials(&other, "web01", trust::Role::kNode), ""),
      broker_->address());
  Until([&] { return stranger.ended(); });
  EXPECT_EQ(broker_->status().connections_total, 0u);
}

TEST_F(BrokerTest, PlainBytesOnTlsAreRefused) {
  MakeTls();
  const auto plain = Plain();
  Until([&] { return plain->connected(); });
  plain->Connect();
  Until([&] { return plain->ended(); });
  EXPECT_FALSE(plain->Has("CONNECTED"));
}

TEST_F(BrokerTest, OneErrorEndsOneConnection) {
  MakePlain();
  const auto bad = Plain(), good = Plain();
  Ready(bad.get());
  Ready(good.get());
  bad->Say({"NONSENSE", {}, ""});
  Until([&] { return bad->ended(); });
  EXPECT_TRUE(bad->Has("ERROR"));
  good->Subscribe("/topic/a");
  Until([&] { return good->Has("RECEIPT"); });
  EXPECT_EQ(broker_->status().refused, 1u);
}

TEST_F(BrokerTest, DropsAConsumerThatDoesNotRead) {
  BrokerLimits limits;
  limits.set_body_bytes(100'000);
  limits.set_consumer_bytes(200'000);
  MakePlain(limits);
  const auto slow = Plain(), sender = Plain();
  Ready(slow.get());
  Ready(sender.get());
  slow->Subscribe("/topic/a");
  Until([&] { return slow->Has("RECEIPT"); });
  slow->StopReading();
  // More than the kernel's buffers take.
  int sent = 0;
  Until([&] {
    if (sent < 1000 && sent <= static_cast<int>(broker_->status().frames_in)) {
      sender->Send("/topic/a", std::string(100'000, 'x'));
      ++sent;
    }
    return broker_->status().slow_consumers_dropped == 1;
  });
  EXPECT_FALSE(sender->ended());
}

TEST_F(BrokerTest, DisconnectIsAnsweredAndClosed) {
  MakePlain();
  const auto client = Plain();
  Ready(client.get());
  client->Say({"DISCONNECT", {{"receipt", "bye"}}, ""});
  Until([&] { return client->ended(); });
  EXPECT_EQ(client->frames().back().command, "RECEIPT");
  Until([&] {
    client->Close();
    return broker_->status().connections == 0;
  });
}

TEST_F(BrokerTest, StopEndsEverything) {
  MakeTls();
  const auto node = Tls("web01", trust::Role::kNode);
  const auto controller = InMemory("ctl", trust::Role::kController);
  Ready(node.get());
  Ready(controller.get());
  std::shared_ptr<StreamFactory> factory;
  {
    trust::Peer peer;
    peer.role = trust::Role::kController;
    factory = broker_->MemoryStreams(peer);
  }
  const std::string address = broker_->address();
  int stops = 0;
  base::asio::post(strand_, [&] { broker_->Stop([&stops] { ++stops; }); });
  Until([&] { return node->ended() && controller->ended(); });
  node->Close();
  Until([&] { return stops == 1; });
  const WireClient late(&io_, factory, "");
  Until([&] { return late.ended(); });
  const WireClient later(&io_, NewNetworkStreams(nullptr, ""), address);
  Until([&] { return later.ended(); });
  EXPECT_THAT(later.error(), HasSubstr(address));
}

TEST_F(BrokerTest, NamesTheAddressThatIsInUse) {
  MakePlain();
  BrokerConfig config;
  config.set_listen(broker_->address());
  config.set_insecure_loopback(true);
  Broker second(strand_, config, nullptr);
  const absl::Status status = second.Listen();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(),
            absl::StrCat("listen on ", broker_->address(), ": Address already in use"));
}

TEST_F(BrokerTest, InsecureIsForLoopbackOnly) {
  BrokerConfig config;
  config.set_listen("0.0.0.0:0");
  config.set_insecure_loopback(true);
  EXPECT_THAT(std::string(ValidateBrokerConfig(config).message()),
              HasSubstr("insecure_loopback: 0.0.0.0:0 is not a loopback address"));
  Make(config);
  EXPECT_EQ(Listen().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(BrokerTest, WithoutCertificatesItDoesNotListen) {
  BrokerConfig config;
  config.set_listen("127.0.0.1:0");
  Make(config);
  EXPECT_EQ(Listen().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(ValidateBrokerConfigTest, NamesTheField) {
  BrokerConfig config;
  EXPECT_TRUE(ValidateBrokerConfig(config).ok());
  config.set_listen("nowhere");
  EXPECT_THAT(std::string(ValidateBrokerConfig(config).message()), StartsWith("listen: "));
  config.set_listen("127.0.0.1:0");
  config.set_destination_prefix("a/b");
  EXPECT_THAT(std::string(ValidateBrokerConfig(config).message()),
              StartsWith("destination_prefix: `a/b`"));
  config.set_destination_prefix("mcollective");
  config.mutable_limits()->set_queue_bytes(1);
  EXPECT_THAT(std::string(ValidateBrokerConfig(config).message()),
              StartsWith("limits.queue_bytes"));
}

}  // namespace
}  // namespace orch::bus
