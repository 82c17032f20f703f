// SPDX-License-Identifier: Apache-2.0
// What each broker does when things go wrong: silence, messages that nobody fetched, its own death,
// a consumer that reads nothing.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "test/integration/broker_conformance_fixture.h"

namespace orch::integration {
namespace {

using Heard = std::shared_ptr<std::vector<std::string>>;
using trust::Role;

TEST_F(BrokerConformance, HeartBeatsGoBothWaysAndKeepAnIdleConnection) {
  bus::BusConfig config = g_broker->ConfigFor(Role::kNode);
  config.mutable_heart_beat()->set_seconds(1);
  const std::string name = BrokerUnderTest::NodeName(0);
  bus::Client* node = MakeWith(config, g_broker->Credentials(name, Role::kNode));
  Hear(node, Request());
  StartAll();
  const bus::ClientStatus before = node->status();
  // Each is one byte; nothing else is under way.
  Until("five heart-beats each way", [&] {
    const bus::ClientStatus now = node->status();
    return now.bytes_in >= before.bytes_in + 5 && now.bytes_out >= before.bytes_out + 5;
  });
  EXPECT_EQ(node->status().frames_in, before.frames_in);
  EXPECT_EQ(node->status().frames_out, before.frames_out);
  EXPECT_EQ(node->status().connects, 1u);
}

TEST_F(BrokerConformance, WhatNobodyFetchedInTimeIsNotDeliveredLate) {
  bus::Client* node = Node(0);
  StartAll();
  // The controller has been here, so that there is a queue where the broker has one.
  {
    bus::Client* earlier = Controller();
    Hear(earlier, Reply());
    StartAll();
    bool stopped = false;
    On([&] { earlier->Stop([&] { stopped = true; }); });
    Until("stopped", [&] { return stopped; });
  }
  clients_.pop_back();
  --started_;
  const absl::Time expiry = absl::Now() + absl::Milliseconds(1500);
  EXPECT_TRUE(SendConfirmed(node, Reply(), "too old", expiry - absl::Now()).ok());
  EXPECT_TRUE(SendConfirmed(node, Reply(), "still good").ok());
  Until("expiry", [&] { return absl::Now() > expiry + absl::Milliseconds(20); });

  const Heard replies = Hear(Controller(), Reply());
  StartAll();
  EXPECT_TRUE(SendConfirmed(node, Reply(), "new").ok());
  Until("the new reply", [&] { return !replies->empty() && replies->back() == "new"; });
  // RabbitMQ's reply queue goes with its controller, who asks the nodes for what it missed.
  const std::vector<std::string> kept = {"still good", "new"};
  EXPECT_EQ(*replies,
            g_broker->flavour() == bus::FLAVOUR_RABBITMQ ? std::vector<std::string>{"new"} : kept);
}

TEST_F(BrokerConformance, AKilledBrokerThatComesBackFindsItsSubscriptions) {
  bus::Client* controller = Controller();
  bus::Client* node = Node(0);
  const Heard replies = Hear(controller, Reply());
  const Heard requests = Hear(node, Request());
  const Heard directed = Hear(node, NodeTopic(0));
  StartAll();
  g_broker->Kill();
  Until("both notice",
        [&] { return !controller->status().connected && !node->status().connected; });
  EXPECT_FALSE(SendConfirmed(controller, Request(), "into the void").ok());
  g_broker->Start();
  UntilConnected(controller, absl::Seconds(60));
  UntilConnected(node, absl::Seconds(60));
  EXPECT_TRUE(SendConfirmed(controller, Request(), "again").ok());
  EXPECT_TRUE(SendConfirmed(controller, NodeTopic(0), "to one again").ok());
  EXPECT_TRUE(SendConfirmed(node, Reply(), "answer").ok());
  Until("all three", [&] { return !replies->empty() && !requests->empty() && !directed->empty(); });
  EXPECT_EQ(*requests, std::vector<std::string>{"again"});
  EXPECT_EQ(node->status().connects, 2u);
}

TEST_F(BrokerConformance, AConsumerThatReadsNothingDelaysNobodyAndCostsLittle) {
  constexpr int kMessages = 800;
  const std::string body(200 << 10, 'x');
  // Its loop is run until it is connected, and no more.
  base::asio::io_context still;
  base::Strand still_strand{still.get_executor()};
  bus::Client* slow = Make(BrokerUnderTest::NodeName(0), Role::kNode, &still_strand);
  const Heard late = Hear(slow, Request());
  base::asio::post(still_strand, [slow] { slow->Start([](bool) {}); });
  const absl::Time end = absl::Now() + absl::Seconds(20);
  while (!slow->status().connected && absl::Now() < end) {
    still.run_one_for(std::chrono::milliseconds(20));
  }
  ASSERT_TRUE(slow->status().connected) << slow->status().last_error;

  bus::Client* controller = Controller();
  bus::Client* fast = Node(1);
  const Heard heard = Hear(fast, Request());
  Start(controller);
  Start(fast);
  UntilConnected(controller);
  UntilConnected(fast);
  const size_t before = g_broker->resident_bytes();
  // One after the other, as a controller that waits for receipts.
  for (int i = 0; i < kMessages; ++i) {
    ASSERT_TRUE(SendConfirmed(controller, Request(), body).ok()) << i;
  }
  Until("all of them at the one that reads", [&] { return heard->size() == kMessages; });
  // 160 MB were sent; ActiveMQ's Java machine takes what -Xmx lets it.
  const size_t grown = g_broker->resident_bytes() - std::min(before, g_broker->resident_bytes());
  EXPECT_LT(grown, size_t{500} << 20);
  RecordProperty("grown_mb", static_cast<int>(grown >> 20));

  // It lost messages, or its connection, but it comes back to hear what is new.
  const absl::Time patience = absl::Now() + absl::Seconds(60);
  while ((late->empty() || late->back() != "after all") && absl::Now() < patience) {
    Send(controller, Request(), "after all");
    for (int i = 0; i < 50; ++i) still.run_one_for(std::chrono::milliseconds(5));
  }
  ASSERT_FALSE(late->empty());
  EXPECT_EQ(late->back(), "after all");
  EXPECT_LT(late->size(), size_t{kMessages});
  clients_.erase(clients_.begin());
  still.poll();
}

}  // namespace
}  // namespace orch::integration
