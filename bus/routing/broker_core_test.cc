// SPDX-License-Identifier: Apache-2.0
// Sessions: connecting, rights, errors, receipts, heart-beats, time limits.
#include "bus/routing/broker_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bus/broker/broker_bench.h"

namespace orch::bus {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class BrokerSessionTest : public BrokerBench {};

TEST_F(BrokerSessionTest, ChoosesTheHighestCommonVersion) {
  const struct {
    const char *accepts, *version;
  } kCases[] = {{"1.0,1.1,1.2", "1.2"}, {"1.1,1.0", "1.1"}, {"1.0", "1.0"}, {"1.2,2.0", "1.2"}};
  for (const auto& test : kCases) {
    BenchClient client = Anyone();
    client.Say(absl::StrCat("CONNECT|accept-version:", test.accepts, "|host:h||^"));
    const Frame connected = client.Next();
    EXPECT_EQ(connected.command, "CONNECTED");
    EXPECT_EQ(*connected.Find("version"), test.version);
    EXPECT_THAT(*connected.Find("server"), StartsWith("orch-broker/"));
  }
}

TEST_F(BrokerSessionTest, WithoutAcceptVersionItIs10) {
  BenchClient client = Anyone();
  client.Say("CONNECT|login:a|passcode:b||^");
  EXPECT_EQ(*client.Next().Find("version"), "1.0");
}

TEST_F(BrokerSessionTest, StompIsConnect) {
  BenchClient client = Anyone();
  client.Say("STOMP|accept-version:1.2|host:h||^");
  EXPECT_EQ(client.Next().command, "CONNECTED");
}

TEST_F(BrokerSessionTest, SaysWhichVersionsItKnows) {
  BenchClient client = Anyone();
  client.Say("CONNECT|accept-version:2.0|host:h||^");
  const Frame error = client.Next();
  EXPECT_EQ(error.command, "ERROR");
  EXPECT_EQ(*error.Find("version"), "1.0,1.1,1.2");
  EXPECT_THAT(error.body, HasSubstr("accept-version `2.0`"));
  EXPECT_TRUE(client.ended());
}

TEST_F(BrokerSessionTest, ReadsWhatFollowsConnectInTheSameBytes) {
  BenchClient client = Anyone();
  client.Say("CONNECT|accept-version:1.0||^SUBSCRIBE|destination: /topic/a|receipt:r||^");
  EXPECT_EQ(client.Next().command, "CONNECTED");
  EXPECT_EQ(*client.Next().Find("receipt-id"), "r");
}

TEST_F(BrokerSessionTest, AnUnknownRoleMayNotConnect) {
  BenchClient client(core.get(), &clock, {BrokerPeer::Kind::kNobody, "alice"});
  client.Say("CONNECT|accept-version:1.2|host:h||^");
  EXPECT_THAT(client.Error(), HasSubstr("`alice`, who has no rights on the bus, may not connect"));
}

struct Wrong {
  const char* says;
  const char* error;
};

TEST_F(BrokerSessionTest, RefusesWhatIsWrongAndSaysWhy) {
  const Wrong kCases[] = {
      {"CONNECT|accept-version:1.2|host:h||^", "CONNECT: the session is connected already"},
      {"FOO||^", "unknown command FOO"},
      {"MESSAGE|destination:/topic/a||^", "unknown command MESSAGE"},
      {"SEND||x^", "SEND without destination header"},
      {"SEND|destination:nowhere||x^", "SEND nowhere: destination does not begin with /topic/"},
      {"SUBSCRIBE|id:1||^", "SUBSCRIBE without destination header"},
      {"SUBSCRIBE|destination:/topic/a||^", "SUBSCRIBE /topic/a without id header"},
      {"SUBSCRIBE|destination:/topic/>|id:1||^", "wildcard"},
      {"SUBSCRIBE|destination:/topic/a|id:1|ack:never||^", "ack `never` is none of auto, client"},
      {"SUBSCRIBE|destination:/topic/a|id:1|selector:a=1||^", "selectors are not served"},
      {"UNSUBSCRIBE||^", "UNSUBSCRIBE without id header"},
      {"UNSUBSCRIBE|id:7||^", "UNSUBSCRIBE 7: there is no such subscription"},
      {"ACK||^", "ACK without id header"},
      {"ACK|id:7||^", "ACK: `7` is no message that waits for an acknowledgement"},
      {"NACK|id:1-1||^", "NACK: `1-1` is no message that waits"},
      {"BEGIN||^", "BEGIN without transaction header"},
      {"COMMIT|transaction:t||^", "COMMIT t: it has not begun"},
      {"ABORT|transaction:t||^", "ABORT t: it has not begun"},
      {"SEND|destination:/queue/a|transaction:t||x^", "SEND in transaction t: it has not begun"},
      {"SEND|foo|", "malformed frame: header line without ':'"},
      {"SEND|destination:/topic/a|k:\xff\xfe||x^", "header line is not UTF-8: `k:\\xff\\xfe`"},
      {"SUBSCRIBE|destination:/topic/a|id:\xe3\x81||^", "header line is not UTF-8"},
  };
  for (const Wrong& test : kCases) {
    BenchClient client = Anyone();
    client.Connect();
    client.Say(test.says);
    EXPECT_THAT(client.Error(), HasSubstr(test.error)) << test.says;
  }
}

TEST_F(BrokerSessionTest, RefusesASecondSubscriptionOfTheSameId) {
  BenchClient client = Anyone();
  client.Connect();
  client.Subscribe("/topic/a", "s");
  client.Subscribe("/topic/b", "s");
  EXPECT_THAT(client.Error(), HasSubstr("id `s` is in use"));
}

TEST_F(BrokerSessionTest, NothingBeforeConnect) {
  BenchClient client = Anyone();
  client.Say("SEND|destination:/topic/a|receipt:r1||x^");
  const Frame error = client.Next();
  EXPECT_EQ(*error.Find("message"), "SEND before CONNECT");
  EXPECT_EQ(core->counters().refused_by[static_cast<size_t>(BrokerRefusal::kMalformed)], 1u);
  EXPECT_EQ(*error.Find("receipt-id"), "r1");
}

TEST_F(BrokerSessionTest, NothingAfterAnError) {
  BenchClient bad = Anyone();
  BenchClient good = Anyone();
  bad.Connect();
  good.Connect();
  good.Subscribe("/topic/a");
  bad.Say("FOO||^SEND|destination:/topic/a||x^");
  bad.Say("SEND|destination:/topic/a||x^");
  EXPECT_EQ(bad.Frames().size(), 1u);
  EXPECT_EQ(good.Frames().size(), 0u);
}

TEST_F(BrokerSessionTest, ReceiptsForEachVerb) {
  BenchClient client = Anyone();
  client.Connect();
  client.Say("SUBSCRIBE|destination:/topic/a|id:1|receipt:a:b||^");
  EXPECT_EQ(*client.Next().Find("receipt-id"), "a:b");
  client.Say("BEGIN|transaction:t|receipt:2||^ABORT|transaction:t|receipt:3||^");
  EXPECT_EQ(*client.Next().Find("receipt-id"), "2");
  EXPECT_EQ(*client.Next().Find("receipt-id"), "3");
  client.Say("DISCONNECT|receipt:bye||^");
  EXPECT_EQ(*client.Next().Find("receipt-id"), "bye");
  EXPECT_TRUE(client.ended());
}

TEST_F(BrokerSessionTest, RightsNameVerbAndDestination) {
  BenchClient node = Node("web01");
  node.Connect();
  node.Subscribe("/topic/orch.main.node.web02");
  EXPECT_EQ(node.Error(), "SUBSCRIBE /topic/orch.main.node.web02: node web01 may not read there");
  BenchClient other = Node("web01");
  other.Connect();
  other.Send("/topic/orch.main.request", "x");
  EXPECT_EQ(other.Error(), "SEND /topic/orch.main.request: node web01 may not send there");
  BenchClient controller = Controller("ctl");
  controller.Connect();
  controller.Subscribe("/queue/orch.main.reply.ctl2");
  EXPECT_EQ(controller.Error(),
            "SUBSCRIBE /queue/orch.main.reply.ctl2: controller ctl may not read there");
}

TEST_F(BrokerSessionTest, RightsAreCheckedWithinTransactions) {
  BenchClient node = Node("web01");
  node.Connect();
  node.Say("BEGIN|transaction:t||^");
  node.Send("/topic/orch.main.request", "x", "transaction:t|");
  EXPECT_THAT(node.Error(), HasSubstr("may not send there"));
}

TEST_F(BrokerSessionTest, WhatNodesAndControllersMay) {
  BenchClient node = Node("web01");
  BenchClient controller = Controller("ctl");
  node.Connect();
  controller.Connect();
  node.Subscribe("/topic/orch.main.request", "1");
  node.Subscribe("/topic/orch.main.node.web01", "2");
  controller.Subscribe("/queue/orch.main.reply.ctl", "1");
  controller.Subscribe("/topic/orch.main.presence", "2");
  controller.Send("/topic/orch.main.request", "request");
  controller.Send("/topic/orch.main.node.web01", "directed");
  node.Send("/queue/orch.main.reply.ctl", "reply");
  node.Send("/topic/orch.main.presence", "presence");
  EXPECT_EQ(node.NextBody(), "request");
  EXPECT_EQ(node.NextBody(), "directed");
  EXPECT_EQ(controller.NextBody(), "reply");
  EXPECT_EQ(controller.NextBody(), "presence");
}

TEST_F(BrokerSessionTest, LimitsConnections) {
  Make({.connections = 2});
  BenchClient first = Anyone();
  {
    BenchClient second = Anyone();
    EXPECT_TRUE(second.accepted());
    EXPECT_FALSE(Anyone().accepted());
  }
  EXPECT_TRUE(Anyone().accepted());
  EXPECT_EQ(core->counters().refused, 1u);
  EXPECT_EQ(core->counters().refused_by[static_cast<size_t>(BrokerRefusal::kConnections)], 1u);
}

TEST_F(BrokerSessionTest, LimitsSubscriptions) {
  Make({.subscriptions = 2});
  BenchClient client = Anyone();
  client.Connect();
  client.Subscribe("/topic/a", "1");
  client.Subscribe("/topic/a", "2");
  EXPECT_FALSE(client.ended());
  client.Subscribe("/topic/a", "3");
  EXPECT_THAT(client.Error(), HasSubstr("more than 2 subscriptions (subscriptions)"));
}

TEST_F(BrokerSessionTest, LimitsBodies) {
  Make({.body_bytes = 10});
  BenchClient client = Anyone();
  client.Connect();
  client.Say("SEND|destination:/topic/a|content-length:11||");
  EXPECT_THAT(client.Error(), HasSubstr("over the limit of 10 (body_bytes)"));
}

TEST_F(BrokerSessionTest, EndsSilentConnections) {
  BenchClient client = Anyone();
  Pass(kConnectTimeMax - absl::Seconds(1));
  EXPECT_FALSE(client.ended());
  Pass(absl::Seconds(2));
  EXPECT_EQ(client.Error(), "no CONNECT frame within 10s");
  EXPECT_FALSE(client.overdue());
  Pass(kEndTimeMax);
  EXPECT_TRUE(client.overdue());
}

TEST_F(BrokerSessionTest, HeartBeatsDoNotStandForConnect) {
  BenchClient client = Anyone();
  for (int i = 0; i < 10; ++i) {
    client.Say("|");
    Pass(absl::Seconds(1));
  }
  EXPECT_EQ(client.Error(), "no CONNECT frame within 10s");
}

TEST_F(BrokerSessionTest, EndsHalfSentFrames) {
  BenchClient client = Anyone();
  client.Connect();
  client.Say("SEND|destination:/topic/a|");
  Pass(kFrameTimeMax / 2);
  client.Say("more:1|");
  EXPECT_FALSE(client.ended());
  Pass(kFrameTimeMax / 2);
  EXPECT_EQ(client.Error(), "frame not complete within 30s");
}

TEST_F(BrokerSessionTest, AFrameThatEndsInTimeIsFine) {
  BenchClient client = Anyone();
  client.Connect();
  client.Say("SEND|destination:/topic/a|");
  Pass(kFrameTimeMax / 2);
  client.Say("|x^");
  Pass(kFrameTimeMax * 3);
  EXPECT_FALSE(client.ended());
}

// A busy publisher's reads rarely end between two frames.
TEST_F(BrokerSessionTest, EachFrameHasItsOwnTime) {
  BenchClient client = Anyone();
  client.Connect();
  client.Say("SEND|destination:/topic/a|");
  for (int i = 0; i < 10; ++i) {
    Pass(kFrameTimeMax / 2);
    client.Say("|x^SEND|destination:/topic/a|");
    ASSERT_FALSE(client.ended()) << i;
  }
  Pass(kFrameTimeMax);
  EXPECT_EQ(client.Error(), "frame not complete within 30s");
}

// A node of the fleet can't take the places of all others.
TEST_F(BrokerSessionTest, OneNodeHasFewConnections) {
  std::vector<std::unique_ptr<BenchClient>> mine;
  const auto connect = [&](const std::string& name) {
    return std::make_unique<BenchClient>(core.get(), &clock,
                                         BrokerPeer{BrokerPeer::Kind::kNode, name});
  };
  for (size_t i = 0; i < kConnectionsOfNodeMax; ++i) {
    mine.push_back(connect("greedy"));
    ASSERT_TRUE(mine.back()->accepted());
  }
  EXPECT_TRUE(connect("modest")->accepted());
  // As many again while those that were ended are being closed, and no more.
  for (size_t i = 0; i < kConnectionsOfNodeMax; ++i) {
    mine.push_back(connect("greedy"));
    ASSERT_TRUE(mine.back()->accepted());
  }
  EXPECT_FALSE(connect("greedy")->accepted());
  EXPECT_EQ(core->counters().refused, kConnectionsOfNodeMax + 1);
  mine.pop_back();
  EXPECT_TRUE(connect("greedy")->accepted());
  for (int i = 0; i < 100; ++i) {
    mine.push_back(std::make_unique<BenchClient>(
        core.get(), &clock, BrokerPeer{BrokerPeer::Kind::kController, "controller"}));
    ASSERT_TRUE(mine.back()->accepted()) << "controllers are few and trusted with more";
  }
}

// Links that broke without a word must not keep their node out.
TEST_F(BrokerSessionTest, ANodesLongestSilentConnectionMakesRoom) {
  std::vector<std::unique_ptr<BenchClient>> mine;
  const auto connect = [&] {
    mine.push_back(std::make_unique<BenchClient>(core.get(), &clock,
                                                 BrokerPeer{BrokerPeer::Kind::kNode, "node1"}));
    ASSERT_TRUE(mine.back()->accepted());
    mine.back()->Connect();
    Pass(absl::Seconds(1));
  };
  for (size_t i = 0; i < kConnectionsOfNodeMax; ++i) connect();
  mine[0]->Say("|");
  Pass(absl::Seconds(1));
  core->TakeNotes();
  connect();
  EXPECT_FALSE(mine[0]->ended()) << "it was heard later than the second";
  EXPECT_EQ(mine[1]->Error(), "a newer connection of node1 took its place: it has more than 8");
  EXPECT_EQ(core->counters().refused_by[static_cast<size_t>(BrokerRefusal::kConnections)], 1u);
  const std::vector<BrokerNote> notes = core->TakeNotes();
  ASSERT_FALSE(notes.empty());
  EXPECT_EQ(notes[0].who, "node1@10.0.0.7:4711");
  EXPECT_TRUE(notes[0].warning);
}

TEST_F(BrokerSessionTest, SendsHeartBeatsAsEmptyLines) {
  BenchClient client = Anyone();
  client.Connect("1.2", "0,10000");
  Pass(absl::Seconds(5));
  EXPECT_TRUE(client.Frames().empty());
  EXPECT_EQ(client.heart_beats(), 1u);
}

TEST_F(BrokerSessionTest, AHeartBeatComesWithinTheAgreedTime) {
  BenchClient client = Anyone();
  client.Connect("1.1", "0,4000");
  for (int i = 0; i < 20; ++i) {
    Pass(absl::Seconds(4));
    EXPECT_NE(client.Take(), "") << i;
  }
}

TEST_F(BrokerSessionTest, MissesHeartBeats) {
  BenchClient client = Anyone();
  client.Connect("1.2", "5000,0");
  for (int i = 0; i < 10; ++i) {
    Pass(absl::Seconds(6));
    client.Say("|");
  }
  EXPECT_FALSE(client.ended());
  Pass(absl::Seconds(11));
  EXPECT_EQ(client.Error(), "no heart-beat within 10s, twice what was agreed");
}

TEST_F(BrokerSessionTest, NoHeartBeatsWhereNoneWereAgreed) {
  BenchClient client = Anyone();
  client.Connect("1.2", "0,0");
  Pass(absl::Hours(10));
  EXPECT_FALSE(client.ended());
  EXPECT_EQ(client.Take(), "");
}

TEST_F(BrokerSessionTest, RefusesMalformedHeartBeats) {
  for (const char* beat : {"1", "a,b", "1,2,3", "-1,0", ""}) {
    BenchClient client = Anyone();
    client.Say(absl::StrCat("CONNECT|accept-version:1.2|host:h|heart-beat:", beat, "||^"));
    EXPECT_THAT(client.Error(), HasSubstr("heart-beat is not two numbers")) << beat;
  }
}

TEST_F(BrokerSessionTest, EndsAllWhenTheBrokerStops) {
  BenchClient first = Anyone();
  BenchClient second = Anyone();
  first.Connect();
  core->EndAll(clock.Read());
  EXPECT_TRUE(first.ended());
  EXPECT_TRUE(second.ended());
  EXPECT_EQ(core->TakeReady().size(), 2u);
}

TEST_F(BrokerSessionTest, NotesWhatItRefusesAndFromWhom) {
  BenchClient node = Node("web01");
  node.Say("SEND|destination:/topic/a||x^");
  const std::vector<BrokerNote> notes = core->TakeNotes();
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_TRUE(notes[0].warning);
  EXPECT_EQ(notes[0].who, "web01@10.0.0.7:4711");
  EXPECT_EQ(notes[0].text, "refused: SEND before CONNECT");
}

TEST_F(BrokerSessionTest, HoldsNothingWhenAllAreGone) {
  {
    BenchClient client = Anyone();
    client.Connect();
    client.Subscribe("/queue/a", "1", "client");
    client.Send("/topic/x", "y");
    client.Say("BEGIN|transaction:t||^");
    client.Send("/queue/b", "y", "transaction:t|");
    client.Say("SEND|destination:/qu");
    EXPECT_GT(core->counters().bytes_held, 0u);
  }
  EXPECT_EQ(core->counters().bytes_held, 0u);
  EXPECT_EQ(core->sessions(), 0u);
}

}  // namespace
}  // namespace orch::bus
