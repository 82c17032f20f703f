// SPDX-License-Identifier: Apache-2.0
// The broker with its transports: memory, TCP and TLS.
#include "bus/broker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "bus/frame.h"
#include "test/testing/loop.h"
#include "test/testing/test_ca.h"

namespace orch::bus {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A STOMP client over any stream, as plain as can be. Lives on: the test's loop.
class WireClient {
 public:
  WireClient(base::asio::io_context* io, std::shared_ptr<StreamFactory> factory,
             std::string address)
      : state_(std::make_shared<State>(io)) {
    base::asio::co_spawn(state_->strand, Run(state_, std::move(factory), std::move(address)),
                         base::asio::detached);
  }
  ~WireClient() { Close(); }

  void Close() {
    if (state_->stream != nullptr) state_->stream->Close();
  }
  void StopReading() { state_->reading = false; }
  void Say(Frame frame) {
    base::asio::co_spawn(state_->strand, Write(state_, Encode(frame)), base::asio::detached);
  }
  void Connect() { Say({"CONNECT", {{"accept-version", "1.2"}, {"host", "h"}}, ""}); }
  void Subscribe(std::string destination) {
    Say({"SUBSCRIBE", {{"destination", destination}, {"id", "s"}, {"receipt", "subscribed"}}, ""});
  }
  void Send(std::string destination, std::string body) {
    Say({"SEND", {{"destination", destination}}, std::move(body)});
  }
  bool connected() const { return state_->stream != nullptr; }
  bool ended() const { return state_->ended; }
  const std::string& error() const { return state_->error; }
  const std::vector<Frame>& frames() const { return state_->frames; }
  bool Has(absl::string_view command) const {
    return std::any_of(frames().begin(), frames().end(),
                       [&](const Frame& frame) { return frame.command == command; });
  }

 private:
  struct State {
    explicit State(base::asio::io_context* io) : strand(base::asio::make_strand(*io)) {}
    base::Strand strand;
    std::unique_ptr<Stream> stream;
    std::vector<Frame> frames;
    std::string error;
    bool reading = true;
    bool ended = false;
  };
  static base::Awaitable<void> Run(std::shared_ptr<State> state,
                                   std::shared_ptr<StreamFactory> factory, std::string address) {
    absl::StatusOr<std::unique_ptr<Stream>> stream =
        co_await factory->Connect(state->strand, address);
    if (!stream.ok()) {
      state->error = std::string(stream.status().message());
      state->ended = true;
      co_return;
    }
    state->stream = *std::move(stream);
    Decoder decoder({.body_bytes = 64 << 20});
    std::vector<char> buffer(8 << 10);
    while (state->reading) {
      const absl::StatusOr<size_t> size =
          co_await state->stream->Read(buffer.data(), buffer.size());
      if (!size.ok()) {
        state->error = std::string(size.status().message());
        state->ended = true;
        break;
      }
      const absl::Status status =
          decoder.Feed(absl::string_view(buffer.data(), *size), &state->frames);
      EXPECT_TRUE(status.ok()) << status;
    }
  }
  static base::Awaitable<void> Write(std::shared_ptr<State> state, std::string bytes) {
    const std::vector<boost::asio::const_buffer> buffers = {boost::asio::buffer(bytes)};
    const absl::Status status = co_await state->stream->Write(buffers);
    if (!status.ok()) state->error = std::string(status.message());
  }

  std::shared_ptr<State> state_;
};

class BrokerTest : public ::testing::Test {
 protected:
  void Make(BrokerConfig config, std::shared_ptr<trust::Credentials> credentials = nullptr) {
    broker_ = std::make_unique<Broker>(strand_, std::move(config), std::move(credentials));
  }
  // Plain, on a port of its own.
  void MakePlain(BrokerLimits limits = {}) {
    BrokerConfig config;
    config.set_listen("127.0.0.1:0");
    config.set_insecure_loopback(true);
    *config.mutable_limits() = limits;
    Make(config);
    ASSERT_TRUE(Listen().ok());
  }
  void MakeTls() {
    BrokerConfig config;
    config.set_listen("127.0.0.1:0");
    Make(config, testing::NewCredentials(&ca_, "broker", trust::Role::kNode));
    ASSERT_TRUE(Listen().ok());
  }
  absl::Status Listen() { return broker_->Listen(); }
  std::unique_ptr<WireClient> Plain() {
    return std::make_unique<WireClient>(&io_, NewNetworkStreams(nullptr, ""), broker_->address());
  }
  std::unique_ptr<WireClient> Tls(const std::string& name, trust::Role role) {
    return std::make_unique<WireClient>(
        &io_, NewNetworkStreams(testing::NewCredentials(&ca_, name, role), ""), broker_->address());
  }
  std::unique_ptr<WireClient> InMemory(const std::string& name, trust::Role role) {
    trust::Peer peer;
    peer.common_name = name;
    peer.role = role;
    return std::make_unique<WireClient>(&io_, broker_->MemoryStreams(peer), "");
  }
  void Until(std::function<bool()> condition) { ASSERT_TRUE(testing::RunUntil(&io_, condition)); }
  // Connected in STOMP, too.
  void Ready(WireClient* client) {
    Until([&] { return client->connected() || client->ended(); });
    ASSERT_EQ(client->error(), "");
    client->Connect();
    Until([&] { return client->Has("CONNECTED"); });
  }
  // A request from the controller to the node and its reply.
  void RoundTrip(WireClient* controller, WireClient* node, size_t size) {
    Ready(controller);
    Ready(node);
    controller->Subscribe("/queue/orch.main.reply.ctl");
    node->Subscribe("/topic/orch.main.request");
    Until([&] { return controller->Has("RECEIPT") && node->Has("RECEIPT"); });
    const std::string request(size, 'q');
    const std::string reply(size, 'r');
    controller->Send("/topic/orch.main.request", request);
    Until([&] { return node->Has("MESSAGE"); });
    EXPECT_EQ(node->frames().back().body, request);
    node->Send("/queue/orch.main.reply.ctl", reply);
    Until([&] { return controller->Has("MESSAGE"); });
    EXPECT_EQ(controller->frames().back().body, reply);
  }

  base::asio::io_context io_{1};
  base::Strand strand_ = base::asio::make_strand(io_);
  testing::TestCa ca_;
  std::unique_ptr<Broker> broker_;
};

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
