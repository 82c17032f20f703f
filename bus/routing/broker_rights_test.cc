// SPDX-License-Identifier: Apache-2.0
#include "bus/routing/broker_rights.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "bus/routing/broker_limits.h"

namespace orch::bus {
namespace {

const BrokerPeer kAnyone{BrokerPeer::Kind::kAnyone, ""};
const BrokerPeer kNobody{BrokerPeer::Kind::kNobody, "alice"};
const BrokerPeer kNode{BrokerPeer::Kind::kNode, "web01.example.net"};
const BrokerPeer kController{BrokerPeer::Kind::kController, "ctl"};

// `S` may send, `R` may read, `-` neither, for: anyone, nobody, node, controller.
std::string Rights(absl::string_view destination) {
  std::string out;
  for (const BrokerPeer& peer : {kAnyone, kNobody, kNode, kController}) {
    const bool send = MaySend(peer, "orch", destination);
    const bool read = MaySubscribe(peer, "orch", destination);
    absl::StrAppend(&out, send && read ? "*" : send ? "S" : read ? "R" : "-");
  }
  return out;
}

TEST(BrokerRightsTest, FollowRoleAndName) {
  EXPECT_EQ(Rights("/topic/orch.main.request"), "*-RS");
  EXPECT_EQ(Rights("/topic/orch.main.presence"), "*-SR");
  EXPECT_EQ(Rights("/topic/orch.main.node.web01.example.net"), "*-RS");
  EXPECT_EQ(Rights("/topic/orch.main.node.web02.example.net"), "*--S");
  EXPECT_EQ(Rights("/queue/orch.main.reply.ctl"), "*-SR");
  EXPECT_EQ(Rights("/queue/orch.main.reply.ctl2"), "*-S-");
}

TEST(BrokerRightsTest, NothingElse) {
  for (const char* other : {
           "/topic/orch.main",
           "/topic/orch.main.",
           "/topic/orch.main.requests",
           "/topic/orch.main.request.x",
           "/topic/orch..request",
           "/topic/orch.Main.request",
           "/topic/orch.a.b.request",
           "/topic/orchmain.request",
           "/topic/mcollective.main.request",
           "/queue/orch.main.request",
           "/queue/orch.main.presence",
           "/queue/orch.main.node.web01.example.net",
           "/topic/orch.main.reply.ctl",
           "/topic/orch.main.node.",
           "/topic/orch.main.node.WEB01.example.net",
           "/topic/orch.main.node.web01.example.net/",
           "/queue/orch.main.reply.",
           "/queue/orch.main.reply.*",
           "orch.main.request",
       }) {
    EXPECT_EQ(Rights(other), "*---") << other;
  }
}

TEST(BrokerRightsTest, PrefixMayHaveDots) {
  EXPECT_TRUE(MaySubscribe(kNode, "site.orch", "/topic/site.orch.main.request"));
  EXPECT_FALSE(MaySubscribe(kNode, "site", "/topic/site.orch.main.request"));
}

TEST(BrokerRightsTest, DescribesThePeer) {
  EXPECT_EQ(DescribePeer(kNode), "node web01.example.net");
  EXPECT_EQ(DescribePeer(kController), "controller ctl");
  EXPECT_NE(DescribePeer(kNobody).find("`alice`"), std::string::npos);
}

TEST(DestinationTest, IsATopicOrAQueue) {
  DestinationKind kind;
  ASSERT_TRUE(CheckDestination("/topic/a.b", &kind).ok());
  EXPECT_EQ(kind, DestinationKind::kTopic);
  ASSERT_TRUE(CheckDestination("/queue/a/b", &kind).ok());
  EXPECT_EQ(kind, DestinationKind::kQueue);
}

TEST(DestinationTest, RefusesTheRest) {
  DestinationKind kind;
  for (const std::string& bad :
       {std::string(), std::string("a"), std::string("/topic/"), std::string("/queue/"),
        std::string("/temp-queue/a"), std::string("/topic/>"), std::string("/topic/a.*"),
        std::string("/topic/a b"), std::string("/topic/a\nb"), std::string("/topic/\xc3\xa4"),
        "/queue/" + std::string(kDestinationBytesMax, 'a')}) {
    EXPECT_EQ(CheckDestination(bad, &kind).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(BrokerBoundsTest, FillsInDefaults) {
  const absl::StatusOr<BrokerBounds> bounds = ResolveLimits({});
  ASSERT_TRUE(bounds.ok());
  EXPECT_EQ(bounds->body_bytes, 1u << 20);
  BrokerLimits limits;
  limits.set_connections(7);
  limits.set_body_bytes(1000);
  EXPECT_EQ(ResolveLimits(limits)->connections, 7u);
  EXPECT_EQ(ResolveLimits(limits)->body_bytes, 1000u);
}

TEST(BrokerBoundsTest, NamesWhatCanNotBe) {
  BrokerLimits limits;
  limits.set_consumer_bytes(1000);
  EXPECT_NE(ResolveLimits(limits).status().message().find("limits.consumer_bytes: 1000"),
            absl::string_view::npos);
  limits.Clear();
  limits.set_queue_bytes(1);
  EXPECT_NE(ResolveLimits(limits).status().message().find("limits.queue_bytes"),
            absl::string_view::npos);
  limits.Clear();
  limits.set_total_bytes(1 << 20);
  EXPECT_NE(ResolveLimits(limits).status().message().find("limits.total_bytes"),
            absl::string_view::npos);
}

}  // namespace
}  // namespace orch::bus
