// SPDX-License-Identifier: Apache-2.0
// The client and the embedded broker together: over memory, TCP and TLS.
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bus/broker/broker.h"
#include "bus/client/client.h"
#include "bus/stomp/destination.h"
#include "bus/stream/stream.h"
#include "test/testing/loop.h"
#include "test/testing/test_ca.h"

namespace orch::bus {
namespace {

using trust::Role;

constexpr char kCollective[] = "main";

enum class Transport { kMemory, kTcp, kTls };

class ClientBrokerTest : public ::testing::TestWithParam<Transport> {
 protected:
  void SetUp() override {
    if (GetParam() == Transport::kTls) ca_ = std::make_unique<testing::TestCa>();
    StartBroker("127.0.0.1:0");
  }
  void TearDown() override {
    clients_.clear();
    broker_.reset();
    testing::RunReady(&io_);
  }

  void On(std::function<void()> action) {
    bool done = false;
    base::asio::post(strand_, [&] {
      action();
      done = true;
    });
    ASSERT_TRUE(testing::RunUntil(&io_, [&] { return done; }));
  }

  void StartBroker(const std::string& listen) {
    On([&] {
      BrokerConfig config;
      config.set_listen(listen);
      config.set_insecure_loopback(GetParam() != Transport::kTls);
      broker_ = std::make_unique<Broker>(strand_, config, Trust("broker1", Role::kController));
      const absl::Status listening = broker_->Listen();
      ASSERT_TRUE(listening.ok()) << listening;
      address_ = broker_->address();
    });
  }

  std::shared_ptr<trust::Credentials> Trust(const std::string& name, Role role) {
    return ca_ != nullptr ? testing::NewCredentials(ca_.get(), name, role) : nullptr;
  }

  std::shared_ptr<StreamFactory> Streams(const BusConfig& config, const std::string& name,
                                         Role role) {
    if (GetParam() == Transport::kMemory) {
      trust::Peer peer;
      peer.common_name = name;
      peer.role = role;
      return broker_->MemoryStreams(peer);
    }
    auto streams = NewClientStreams(config, Trust(name, role));
    EXPECT_TRUE(streams.ok()) << streams.status();
    return *std::move(streams);
  }

  Client* Make(const std::string& name, Role role) {
    BusConfig config;
    config.add_brokers(address_);
    if (GetParam() != Transport::kTls) {
      config.set_tls(false);
      config.set_insecure_loopback(true);
    } else {
      config.set_tls_server_name("broker1");
    }
    config.mutable_reconnect_min()->set_nanos(10'000'000);
    config.mutable_reconnect_max()->set_nanos(50'000'000);
    Client::Options options{config, nullptr, name};
    clients_.push_back(std::make_unique<Client>(strand_, options, Streams(config, name, role)));
    return clients_.back().get();
  }
  void Start(Client* client) {
    On([client] { client->Start([](bool) {}); });
  }
  void UntilConnected(Client* client) {
    ASSERT_TRUE(testing::RunUntil(&io_, [&] { return client->status().connected; }))
        << client->status().last_error;
  }

  std::unique_ptr<testing::TestCa> ca_;
  base::asio::io_context io_;
  base::Strand strand_{io_.get_executor()};
  std::unique_ptr<Broker> broker_;
  std::string address_;
  Destinations names_;
  std::vector<std::unique_ptr<Client>> clients_;
};

TEST_P(ClientBrokerTest, ARequestReachesTheNodesAndTheirRepliesTheController) {
  constexpr int kNodes = 20;
  Client* controller = Make("controller", Role::kController);
  std::vector<std::string> replies;
  controller->Subscribe(names_.Reply(kCollective, "controller"),
                        [&](Delivery delivery) { replies.push_back(delivery.body); });
  Start(controller);
  for (int i = 0; i < kNodes; ++i) {
    const std::string name = absl::StrCat("node", i, ".example.net");
    Client* node = Make(name, Role::kNode);
    const auto answer = [this, node, name](Delivery delivery) {
      node->Send(names_.Reply(kCollective, "controller"), absl::StrCat(name, " ", delivery.body),
                 absl::Now() + absl::Minutes(1));
    };
    node->Subscribe(names_.Request(kCollective), answer);
    node->Subscribe(names_.Node(kCollective, name), answer);
    Start(node);
  }
  for (const auto& client : clients_) UntilConnected(client.get());

  absl::Status sent = absl::UnknownError("no receipt");
  const std::string large(200 << 10, 'x');
  On([&] {
    controller->SendWithReceipt(names_.Request(kCollective), large, absl::Now() + absl::Minutes(1),
                                [&](absl::Status s) { sent = s; });
  });
  ASSERT_TRUE(testing::RunUntil(&io_, [&] { return replies.size() == kNodes; }));
  EXPECT_TRUE(sent.ok()) << sent;
  for (const std::string& reply : replies) EXPECT_TRUE(absl::EndsWith(reply, large));

  replies.clear();
  On([&] {
    controller->Send(names_.Node(kCollective, "node7.example.net"), "directed",
                     absl::Now() + absl::Minutes(1));
  });
  ASSERT_TRUE(testing::RunUntil(&io_, [&] { return !replies.empty(); }));
  testing::RunReady(&io_);
  EXPECT_EQ(replies, std::vector<std::string>{"node7.example.net directed"});
}

TEST_P(ClientBrokerTest, ABurstWithReceiptsArrivesWholeAndInOrder) {
  Client* controller = Make("controller", Role::kController);
  Client* node = Make("node1", Role::kNode);
  std::vector<std::string> got;
  node->Subscribe(names_.Node(kCollective, "node1"),
                  [&](Delivery delivery) { got.push_back(delivery.body); });
  Start(controller);
  Start(node);
  UntilConnected(controller);
  UntilConnected(node);
  constexpr int kMessages = 1000;
  int confirmed = 0;
  std::vector<std::string> expected;
  On([&] {
    for (int i = 0; i < kMessages; ++i) {
      expected.push_back(absl::StrCat(i));
      controller->SendWithReceipt(names_.Node(kCollective, "node1"), expected.back(),
                                  absl::InfiniteFuture(), [&](absl::Status status) {
                                    EXPECT_TRUE(status.ok()) << status;
                                    ++confirmed;
                                  });
    }
  });
  ASSERT_TRUE(testing::RunUntil(
      &io_, [&] { return confirmed == kMessages && got.size() == expected.size(); }));
  EXPECT_TRUE(got == expected);
}

TEST_P(ClientBrokerTest, StopsCleanlyAndTheBrokerSeesIt) {
  Client* client = Make("controller", Role::kController);
  Start(client);
  UntilConnected(client);
  bool stopped = false;
  On([&] { client->Stop([&] { stopped = true; }); });
  ASSERT_TRUE(
      testing::RunUntil(&io_, [&] { return stopped && broker_->status().connections == 0; }));
}

// A broker in memory goes with its process.
class ClientNetworkTest : public ClientBrokerTest {};

TEST_P(ClientNetworkTest, SurvivesARestartOfTheBroker) {
  Client* controller = Make("controller", Role::kController);
  Client* node = Make("node1", Role::kNode);
  std::vector<std::string> got;
  node->Subscribe(names_.Request(kCollective),
                  [&](Delivery delivery) { got.push_back(delivery.body); });
  Start(controller);
  Start(node);
  UntilConnected(controller);
  UntilConnected(node);
  bool stopped = false;
  On([&] { broker_->Stop([&] { stopped = true; }); });
  ASSERT_TRUE(testing::RunUntil(&io_, [&] {
    return stopped && !controller->status().connected && !node->status().connected;
  }));
  On([&] { broker_.reset(); });
  StartBroker(address_);
  UntilConnected(controller);
  UntilConnected(node);
  On([&] { controller->Send(names_.Request(kCollective), "again", absl::InfiniteFuture()); });
  ASSERT_TRUE(testing::RunUntil(&io_, [&] { return got.size() == 1; }));
  EXPECT_EQ(node->status().connects, 2u);
}

// insecure_loopback knows no roles.
class ClientRoleTest : public ClientBrokerTest {};

TEST_P(ClientRoleTest, WhatARoleMayNotDoIsRefusedWithAReason) {
  Client* node = Make("node1", Role::kNode);
  node->Subscribe(names_.Node(kCollective, "node2"), [](Delivery) { FAIL(); });
  Start(node);
  ASSERT_TRUE(testing::RunUntil(&io_, [&] {
    return absl::StrContains(node->status().last_error, "subscribe /topic/orch.main.node.node2");
  })) << node->status().last_error;
  EXPECT_FALSE(node->status().connected);
}

TEST_P(ClientBrokerTest, ThousandsInOneProcess) {
  const int count = GetParam() == Transport::kTls ? 20 : 1000;
  for (int i = 0; i < count; ++i) {
    const std::string name = absl::StrCat("n", i);
    Client* node = Make(name, Role::kNode);
    node->Subscribe(names_.Request(kCollective), [](Delivery) {});
    Start(node);
  }
  ASSERT_TRUE(testing::RunUntil(&io_, [&] {
    int connected = 0;
    for (const auto& client : clients_) connected += client->status().connected;
    return connected == count;
  }));
}

std::string TransportName(const ::testing::TestParamInfo<Transport>& info) {
  switch (info.param) {
    case Transport::kMemory:
      return "Memory";
    case Transport::kTcp:
      return "Tcp";
    case Transport::kTls:
      break;
  }
  return "Tls";
}

INSTANTIATE_TEST_SUITE_P(Each, ClientBrokerTest,
                         ::testing::Values(Transport::kMemory, Transport::kTcp, Transport::kTls),
                         TransportName);
INSTANTIATE_TEST_SUITE_P(Each, ClientNetworkTest,
                         ::testing::Values(Transport::kTcp, Transport::kTls), TransportName);
INSTANTIATE_TEST_SUITE_P(Each, ClientRoleTest, ::testing::Values(Transport::kTls), TransportName);

}  // namespace
}  // namespace orch::bus
