// SPDX-License-Identifier: Apache-2.0
// What the bus promises its users, through the client and on each broker: requests to all and to
// one, replies, presence, receipts, large messages, many subscribers.
#include "absl/strings/str_cat.h"
#include "test/integration/broker_conformance_fixture.h"

namespace orch::integration {
namespace {

using Heard = std::shared_ptr<std::vector<std::string>>;
using trust::Role;

TEST_F(BrokerConformance, ABroadcastReachesEveryNodeOnce) {
  bus::Client* controller = Controller();
  std::vector<Heard> nodes;
  for (int i = 0; i < 3; ++i) nodes.push_back(Hear(Node(i), Request()));
  StartAll();
  EXPECT_TRUE(SendConfirmed(controller, Request(), "one").ok());
  EXPECT_TRUE(SendConfirmed(controller, Request(), "two").ok());
  for (const Heard& heard : nodes) {
    Until("both requests", [&] { return heard->size() >= 2; });
    EXPECT_EQ(*heard, (std::vector<std::string>{"one", "two"}));
  }
}

TEST_F(BrokerConformance, ADirectedRequestReachesItsNodeAlone) {
  bus::Client* controller = Controller();
  bus::Client* first = Node(0);
  bus::Client* second = Node(1);
  const Heard mine = Hear(first, NodeTopic(0));
  const Heard other = Hear(second, NodeTopic(1));
  StartAll();
  EXPECT_TRUE(SendConfirmed(controller, NodeTopic(0), "for the first").ok());
  EXPECT_TRUE(SendConfirmed(controller, NodeTopic(1), "for the second").ok());
  Until("both", [&] { return !mine->empty() && !other->empty(); });
  EXPECT_EQ(*mine, std::vector<std::string>{"for the first"});
  EXPECT_EQ(*other, std::vector<std::string>{"for the second"});
}

TEST_F(BrokerConformance, AReplyReachesItsControllerAlone) {
  const Heard first = Hear(Controller(), Reply());
  const Heard second = Hear(Controller("controller2"), Reply("controller2"));
  bus::Client* node = Node(0);
  StartAll();
  EXPECT_TRUE(SendConfirmed(node, Reply(), "for the first").ok());
  EXPECT_TRUE(SendConfirmed(node, Reply("controller2"), "for the second").ok());
  Until("both", [&] { return !first->empty() && !second->empty(); });
  EXPECT_EQ(*first, std::vector<std::string>{"for the first"});
  EXPECT_EQ(*second, std::vector<std::string>{"for the second"});
}

TEST_F(BrokerConformance, PresenceReachesEveryController) {
  const Heard first = Hear(Controller(), Presence());
  const Heard second = Hear(Controller("controller2"), Presence());
  bus::Client* node = Node(0);
  StartAll();
  EXPECT_TRUE(SendConfirmed(node, Presence(), "I am here").ok());
  Until("both", [&] { return !first->empty() && !second->empty(); });
  EXPECT_EQ(*first, *second);
}

TEST_F(BrokerConformance, ABurstIsConfirmedAndArrivesWholeAndInOrder) {
  // More than may wait for a consumer that reads nothing, of what a fleet answers at once.
  constexpr int kMessages = 2000;
  const Heard replies = Hear(Controller(), Reply());
  bus::Client* node = Node(0);
  StartAll();
  int confirmed = 0;
  std::vector<std::string> expected;
  for (int i = 0; i < kMessages; ++i)
    expected.push_back(absl::StrCat(i, " ", std::string(1000, 'x')));
  On([&] {
    for (const std::string& body : expected) {
      node->SendWithReceipt(Reply(), body, absl::Now() + absl::Minutes(1),
                            [&](absl::Status status) { confirmed += status.ok() ? 1 : 0; });
    }
  });
  Until("receipts", [&] { return confirmed == kMessages; });
  Until("replies", [&] { return replies->size() == expected.size(); });
  EXPECT_TRUE(*replies == expected);
}

TEST_F(BrokerConformance, LargeAndBinaryMessagesArriveAsTheyWere) {
  bus::Client* controller = Controller();
  bus::Client* node = Node(0);
  const Heard requests = Hear(node, NodeTopic(0));
  const Heard replies = Hear(controller, Reply());
  StartAll();
  std::string bytes;
  for (uint32_t i = 0; i < (300 << 10); ++i) bytes.push_back(static_cast<char>(i * 7919U >> 3));
  std::vector<std::string> expected;
  // The bus carries 256 KiB; some room beyond is there.
  for (const size_t size :
       {size_t{0}, size_t{1}, size_t{4096}, size_t{65'537}, size_t{256 << 10}, bytes.size()}) {
    expected.push_back(bytes.substr(0, size));
    EXPECT_TRUE(SendConfirmed(controller, NodeTopic(0), expected.back()).ok()) << size;
    EXPECT_TRUE(SendConfirmed(node, Reply(), expected.back()).ok()) << size;
  }
  Until("all sizes",
        [&] { return requests->size() == expected.size() && replies->size() == expected.size(); });
  EXPECT_TRUE(*requests == expected);
  EXPECT_TRUE(*replies == expected);
}

TEST_F(BrokerConformance, HundredsOfNodesHearTheirRequestsAndAnswer) {
  bus::Client* controller = Controller();
  const Heard replies = Hear(controller, Reply());
  for (int i = 0; i < BrokerUnderTest::kManyNodes; ++i) {
    bus::Client* node = Node(i);
    const auto answer = [this, node](bus::Delivery delivery) {
      node->Send(Reply(), std::move(delivery.body), absl::Now() + absl::Minutes(1));
    };
    node->Subscribe(Request(), answer);
    node->Subscribe(NodeTopic(i), answer);
  }
  StartAll();
  const size_t all = BrokerUnderTest::kManyNodes;
  const absl::Time begin = absl::Now();
  Send(controller, Request(), "to all");
  Until("an answer of each", [&] { return replies->size() == all; });
  RecordProperty("broadcast_ms", static_cast<int>(absl::ToInt64Milliseconds(absl::Now() - begin)));
  replies->clear();
  On([&] {
    for (size_t i = 0; i < all; ++i) {
      controller->Send(NodeTopic(static_cast<int>(i)), "to each", absl::Now() + absl::Minutes(1));
    }
  });
  Until("an answer of each", [&] { return replies->size() == all; });
}

}  // namespace
}  // namespace orch::integration
