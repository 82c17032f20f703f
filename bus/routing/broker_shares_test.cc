// SPDX-License-Identifier: Apache-2.0
// What one node, and all nodes, may have in queues.
#include "bus/routing/broker_shares.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bus/broker/broker_bench.h"

namespace orch::bus {
namespace {

using ::testing::HasSubstr;

class BrokerSharesTest : public BrokerBench {};

TEST_F(BrokerSharesTest, ANodeMakesFewQueues) {
  BenchClient node = Node("web01"), other = Node("web02");
  node.Connect();
  other.Connect();
  for (size_t i = 0; i < kQueuesOfNodeMax; ++i) {
    node.Send(absl::StrCat("/queue/orch.main.reply.x", i), "lost");
  }
  // What is there already, and what others need, is not concerned.
  node.Send("/queue/orch.main.reply.x0", "more");
  other.Send("/queue/orch.main.reply.controller", "answer");
  EXPECT_FALSE(node.ended());
  BenchClient controller = Controller("controller");
  controller.Connect();
  controller.Subscribe("/queue/orch.main.reply.controller");
  EXPECT_EQ(controller.NextBody(), "answer");
  node.Send("/queue/orch.main.reply.one-more", "refused");
  EXPECT_THAT(node.Error(), HasSubstr("this node has made 64 queues that nobody reads"));
  // A new connection of the same node has no more; of another node it has.
  BenchClient again = Node("web01");
  again.Connect();
  again.Send("/queue/orch.main.reply.one-more", "refused");
  EXPECT_THAT(again.Error(), HasSubstr("this node has made 64 queues"));
  other.Send("/queue/orch.main.reply.another", "kept");
  EXPECT_FALSE(other.ended());
  // What is read is nobody's waste.
  BenchClient x0 = Controller("x0"), third = Node("web01");
  x0.Connect();
  x0.Subscribe("/queue/orch.main.reply.x0");
  EXPECT_EQ(x0.Frames().size(), 2u);
  third.Connect();
  third.Send("/queue/orch.main.reply.one-more", "kept");
  EXPECT_FALSE(third.ended());
  // And time gives it all back.
  Pass(kMessageAgeMax + kExpiryInterval);
  third.Send("/queue/orch.main.reply.late", "kept");
  EXPECT_EQ(core->Census()[static_cast<size_t>(BusKind::kReply)].destinations, 3u);
}

TEST_F(BrokerSharesTest, NodesTogetherLeaveRoomForSubscriptions) {
  std::vector<std::unique_ptr<BenchClient>> nodes;
  const size_t count = kQueuesOfNodesMax / kQueuesOfNodeMax;
  for (size_t n = 0; n <= count; ++n) {
    BrokerPeer peer{BrokerPeer::Kind::kNode, absl::StrCat("n", n)};
    nodes.push_back(std::make_unique<BenchClient>(core.get(), &clock, std::move(peer)));
    nodes.back()->Connect();
    for (size_t i = 0; n < count && i < kQueuesOfNodeMax; ++i) {
      nodes.back()->Send(absl::StrCat("/queue/orch.main.reply.x", n, "-", i), "lost");
    }
    EXPECT_FALSE(nodes.back()->ended());
  }
  BenchClient honest = Node("honest");
  honest.Connect();
  honest.Subscribe("/topic/orch.main.request");
  EXPECT_FALSE(honest.ended());
  nodes.back()->Send("/queue/orch.main.reply.one-more", "refused");
  EXPECT_THAT(nodes.back()->Error(), HasSubstr("nodes have made 4096 queues"));
}

TEST_F(BrokerSharesTest, OneNodesMessagesLeaveRoomForOthers) {
  BenchClient node = Node("web01"), other = Node("web02");
  node.Connect();
  other.Connect();
  const std::string body(1 << 20, 'x');
  for (int i = 0; i < 15; ++i) node.Send("/queue/orch.main.reply.controller", body);
  EXPECT_FALSE(node.ended());
  for (int i = 0; i < 2; ++i) {
    if (!node.ended()) node.Send("/queue/orch.main.reply.controller", body);
  }
  EXPECT_THAT(node.Error(), HasSubstr("bytes of this node wait in queues"));
  other.Send("/queue/orch.main.reply.controller", body);
  EXPECT_FALSE(other.ended());
  // Once taken they count no more.
  BenchClient controller = Controller("controller"), again = Node("web01");
  controller.Connect();
  controller.Subscribe("/queue/orch.main.reply.controller");
  EXPECT_GE(controller.Frames().size(), 1u);
  while (!controller.Frames().empty()) {
  }
  again.Connect();
  again.Send("/queue/orch.main.reply.controller", body);
  EXPECT_EQ(controller.NextBody(), body);
}

}  // namespace
}  // namespace orch::bus
