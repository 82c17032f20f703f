// SPDX-License-Identifier: Apache-2.0
// The way of messages: topics, queues, acknowledgements, transactions, expiry, memory.
#include "bus/routing/broker_router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bus/broker/broker_bench.h"

namespace orch::bus {
namespace {

using ::testing::HasSubstr;

class BrokerRouterTest : public BrokerBench {};

TEST_F(BrokerRouterTest, ATopicGoesToAllWhoListenNow) {
  BenchClient a = Anyone(), b = Anyone(), sender = Anyone();
  for (BenchClient* client : {&a, &b, &sender}) client->Connect();
  sender.Send("/topic/t", "early");
  a.Subscribe("/topic/t");
  b.Subscribe("/topic/t");
  sender.Send("/topic/t", "one");
  b.Say("UNSUBSCRIBE|id:s||^");
  sender.Send("/topic/t", "two");
  EXPECT_EQ(a.NextBody(), "one");
  EXPECT_EQ(a.NextBody(), "two");
  EXPECT_EQ(b.NextBody(), "one");
  EXPECT_TRUE(b.Frames().empty());
}

TEST_F(BrokerRouterTest, AMessageCarriesWhatStompAsksFor) {
  BenchClient client = Anyone();
  client.Connect();
  client.Subscribe("/topic/t", "s:1");
  client.Send("/topic/t", "body", "content-type:text/plain|correlation-id:7|x:1|x:2|");
  const Frame message = client.Next();
  EXPECT_EQ(message.command, "MESSAGE");
  EXPECT_EQ(*message.Find("subscription"), "s:1");
  EXPECT_EQ(*message.Find("destination"), "/topic/t");
  EXPECT_EQ(*message.Find("content-length"), "4");
  EXPECT_EQ(*message.Find("content-type"), "text/plain");
  EXPECT_EQ(*message.Find("correlation-id"), "7");
  EXPECT_EQ(*message.Find("x"), "1");
  EXPECT_NE(message.Find("message-id"), nullptr);
  EXPECT_EQ(message.Find("ack"), nullptr);
}

TEST_F(BrokerRouterTest, APublisherCanNotSpeakForTheBroker) {
  BenchClient client = Anyone();
  client.Connect();
  client.Subscribe("/topic/t", "mine");
  client.Send("/topic/t", "b",
              "message-id:9|subscription:yours|ack:5|receipt:r|redelivered:true|login:l|"
              "passcode:p|destination:/queue/other|");
  const Frame message = client.Next();
  EXPECT_EQ(message.command, "MESSAGE");
  EXPECT_EQ(*message.Find("destination"), "/topic/t");
  EXPECT_EQ(*message.Find("subscription"), "mine");
  EXPECT_NE(*message.Find("message-id"), "9");
  for (const char* header : {"ack", "receipt", "redelivered", "login", "passcode"}) {
    EXPECT_EQ(message.Find(header), nullptr) << header;
  }
}

TEST_F(BrokerRouterTest, EachVersionGetsItsOwnEscapes) {
  BenchClient a = Anyone(), b = Anyone(), c = Anyone();
  a.Connect("1.2");
  b.Connect("1.1");
  c.Connect("1.0");
  for (BenchClient* client : {&a, &b, &c}) client->Subscribe("/topic/t");
  a.Send("/topic/t", "x", "v:a\\cb\\r|");
  EXPECT_THAT(a.Take(), HasSubstr("v:a\\cb\\r\n"));
  EXPECT_THAT(b.Take(), HasSubstr("v:a\\cb\r\n"));
  EXPECT_THAT(c.Take(), HasSubstr("v:a:b \n"));
}

TEST_F(BrokerRouterTest, ManySubscribersShareOneBody) {
  std::deque<BenchClient> all;
  for (int i = 0; i < 100; ++i) {
    all.emplace_back(core.get(), &clock, BrokerPeer{BrokerPeer::Kind::kAnyone, ""});
    all.back().Connect();
    all.back().Subscribe("/topic/t");
  }
  const size_t before = core->counters().bytes_held;
  all[0].Send("/topic/t", std::string(100'000, 'x'));
  EXPECT_LT(core->counters().bytes_held - before, 150'000u);
  for (BenchClient& client : all) EXPECT_EQ(client.NextBody().size(), 100'000u);
  EXPECT_EQ(core->counters().bytes_held, before);
}

TEST_F(BrokerRouterTest, AQueueKeepsUntilSomebodyTakes) {
  BenchClient sender = Anyone(), taker = Anyone();
  sender.Connect();
  taker.Connect();
  sender.Send("/queue/q", "1");
  sender.Send("/queue/q", "2");
  taker.Subscribe("/queue/q");
  EXPECT_EQ(taker.NextBody(), "1");
  EXPECT_EQ(taker.NextBody(), "2");
}

TEST_F(BrokerRouterTest, ConsumersTakeTurns) {
  BenchClient a = Anyone(), b = Anyone();
  a.Connect();
  b.Connect();
  a.Subscribe("/queue/q");
  b.Subscribe("/queue/q");
  for (const char* body : {"1", "2", "3", "4"}) a.Send("/queue/q", body);
  EXPECT_EQ(a.NextBody(), "1");
  EXPECT_EQ(a.NextBody(), "3");
  EXPECT_EQ(b.NextBody(), "2");
  EXPECT_EQ(b.NextBody(), "4");
}

TEST_F(BrokerRouterTest, UnacknowledgedMessagesGoToAnother) {
  BenchClient a = Anyone(), b = Anyone();
  a.Connect();
  b.Connect();
  a.Subscribe("/queue/q", "s", "client-individual");
  for (const char* body : {"1", "2", "3"}) b.Send("/queue/q", body);
  a.Next();
  const Frame second = a.Next();
  a.Say(absl::StrCat("ACK|id:", *second.Find("ack"), "||^"));
  a.Drop();
  b.Subscribe("/queue/q");
  const Frame first = b.Next();
  EXPECT_EQ(first.body, "1");
  EXPECT_EQ(*first.Find("redelivered"), "true");
  EXPECT_EQ(b.NextBody(), "3");
  EXPECT_TRUE(b.Frames().empty());
}

TEST_F(BrokerRouterTest, ClientModeAcknowledgesAllBefore) {
  for (const char* version : {"1.2", "1.1", "1.0"}) {
    BenchClient a = Anyone(), b = Anyone();
    a.Connect(version);
    b.Connect();
    a.Subscribe("/queue/q", "s", "client");
    for (const char* body : {"1", "2", "3"}) b.Send("/queue/q", body);
    a.Next();
    const Frame second = a.Next();
    const bool newest = absl::string_view(version) == "1.2";
    a.Say(newest
              ? absl::StrCat("ACK|id:", *second.Find("ack"), "||^")
              : absl::StrCat("ACK|message-id:", *second.Find("message-id"), "|subscription:s||^"));
    a.Drop();
    b.Subscribe("/queue/q");
    EXPECT_EQ(b.NextBody(), "3") << version;
    EXPECT_TRUE(b.Frames().empty());
  }
}

TEST_F(BrokerRouterTest, AnAcknowledgementCountsOnce) {
  BenchClient a = Anyone();
  a.Connect();
  a.Subscribe("/queue/q", "s", "client-individual");
  a.Send("/queue/q", "1");
  const std::string ack = absl::StrCat("ACK|id:", *a.Next().Find("ack"), "||^");
  a.Say(ack);
  EXPECT_FALSE(a.ended());
  a.Say(ack);
  EXPECT_THAT(a.Error(), HasSubstr("is no message that waits for an acknowledgement"));
}

TEST_F(BrokerRouterTest, NobodyAcknowledgesForAnother) {
  BenchClient a = Anyone(), b = Anyone();
  a.Connect();
  b.Connect();
  a.Subscribe("/queue/q", "s", "client");
  a.Send("/queue/q", "1");
  b.Say(absl::StrCat("ACK|id:", *a.Next().Find("ack"), "||^"));
  EXPECT_TRUE(b.ended());
}

TEST_F(BrokerRouterTest, TopicsTakeAcknowledgements) {
  BenchClient a = Anyone();
  a.Connect();
  a.Subscribe("/topic/t", "s", "client");
  a.Send("/topic/t", "1");
  a.Say(absl::StrCat("ACK|id:", *a.Next().Find("ack"), "||^"));
  EXPECT_FALSE(a.ended());
}

TEST_F(BrokerRouterTest, ARefusedMessageComesAgainButNotForEver) {
  BenchClient a = Anyone();
  a.Connect();
  a.Subscribe("/queue/q", "s", "client-individual");
  a.Send("/queue/q", "poison");
  for (int i = 0; i < kNacksMax; ++i) {
    const Frame message = a.Next();
    ASSERT_EQ(message.body, "poison") << i;
    a.Say(absl::StrCat("NACK|id:", *message.Find("ack"), "||^"));
  }
  EXPECT_TRUE(a.Frames().empty());
  EXPECT_EQ(core->counters().discarded, 1u);
}

TEST_F(BrokerRouterTest, AConsumerHasSoManyUnacknowledged) {
  BenchClient a = Anyone(), b = Anyone();
  a.Connect();
  b.Connect();
  a.Subscribe("/queue/q", "s", "client");
  for (size_t i = 0; i < kUnackedMax + 5; ++i) b.Send("/queue/q", "x");
  std::vector<Frame> frames = a.Frames();
  ASSERT_EQ(frames.size(), kUnackedMax);
  a.Say(absl::StrCat("ACK|id:", *frames.back().Find("ack"), "||^"));
  EXPECT_EQ(a.Frames().size(), 5u);
}

TEST_F(BrokerRouterTest, AQueueWaitsForAConsumerThatReadsSlowly) {
  BenchClient slow = Anyone(), sender = Anyone();
  slow.Connect();
  sender.Connect();
  slow.Subscribe("/queue/q");
  const std::string body(10'000, 'x');
  for (int i = 0; i < 100; ++i) sender.Send("/queue/q", body);
  EXPECT_LT(slow.session()->outbox.bytes(), kCreditBytes + 2 * body.size());
  EXPECT_EQ(slow.Frames().size(), 100u);
  EXPECT_FALSE(slow.ended());
}

TEST_F(BrokerRouterTest, ExpiredMessagesAreNotDelivered) {
  BenchClient a = Anyone();
  a.Connect();
  const int64_t now_ms = absl::ToUnixMillis(clock.Read().wall);
  a.Send("/queue/q", "past", absl::StrCat("expires:", now_ms - 1, "|"));
  a.Send("/queue/q", "soon", absl::StrCat("expires:", now_ms + 3000, "|"));
  a.Send("/queue/q", "never", "expires:0|");
  Pass(absl::Seconds(4));
  a.Subscribe("/queue/q");
  EXPECT_EQ(a.NextBody(), "never");
  EXPECT_EQ(core->counters().expired, 2u);
}

TEST_F(BrokerRouterTest, WhatIsLeftOfTheTimeNeedsNoClockOfTheSender) {
  BenchClient a = Anyone();
  a.Connect();
  const int64_t past_ms = absl::ToUnixMillis(clock.Read().wall - absl::Minutes(15));
  a.Send("/queue/q", "kept", absl::StrCat("expiration:60000|expires:", past_ms, "|"));
  a.Send("/queue/q", "short", "expiration:3000|");
  a.Send("/queue/q", "long", "expiration:9223372036854775807|");
  Pass(absl::Seconds(4));
  a.Subscribe("/queue/q");
  EXPECT_EQ(a.NextBody(), "kept");
  EXPECT_EQ(a.NextBody(), "long");
  EXPECT_EQ(core->counters().expired, 1u);
}

TEST_F(BrokerRouterTest, ExpiredMessagesGiveTheirMemoryBack) {
  BenchClient a = Anyone();
  a.Connect();
  const size_t before = core->counters().bytes_held;
  const int64_t now_ms = absl::ToUnixMillis(clock.Read().wall);
  for (int i = 0; i < 10; ++i) {
    a.Send("/queue/q", "soon", absl::StrCat("expires:", now_ms + 1000 * i + 500, "|"));
  }
  EXPECT_GT(core->counters().bytes_held, before);
  Pass(absl::Seconds(10) + kExpiryInterval);
  EXPECT_EQ(core->counters().bytes_held, before);
  EXPECT_EQ(core->counters().expired, 10u);
}

TEST_F(BrokerRouterTest, UnclaimedMessagesEndAfterADay) {
  BenchClient a = Anyone();
  a.Connect();
  a.Send("/queue/q", "x");
  Pass(kMessageAgeMax + kExpiryInterval);
  EXPECT_EQ(core->counters().expired, 1u);
}

TEST_F(BrokerRouterTest, AFullQueueRefuses) {
  Make({.body_bytes = 1000, .queue_bytes = 20'000});
  BenchClient a = Anyone(), b = Anyone();
  a.Connect();
  b.Connect();
  for (int i = 0; i < 100 && !a.ended(); ++i) a.Send("/queue/q", std::string(900, 'x'));
  EXPECT_THAT(a.Error(), HasSubstr("SEND /queue/q: the queue is full: over 20000 bytes"));
  b.Send("/queue/other", "x");
  EXPECT_FALSE(b.ended());
}

TEST_F(BrokerRouterTest, AllQueuesTogetherLeaveRoomForOthers) {
  Make({.body_bytes = 1000, .total_bytes = 100'000});
  BenchClient a = Anyone(), b = Anyone();
  a.Connect();
  b.Connect();
  for (int i = 0; i < 200 && !a.ended(); ++i) {
    a.Send(absl::StrCat("/queue/", i), std::string(900, 'x'));
  }
  EXPECT_THAT(a.Error(), HasSubstr("all queues together are full"));
  b.Subscribe("/topic/t", "t");
  b.Send("/topic/t", "still");
  EXPECT_EQ(b.NextBody(), "still");
  b.Subscribe("/queue/mine", "q");
  b.Send("/queue/mine", "through");
  EXPECT_EQ(b.NextBody(), "through");
}

TEST_F(BrokerRouterTest, DropsAClientThatReadsNoReceipts) {
  Make({.body_bytes = 1000, .consumer_bytes = 20'000});
  BenchClient a = Anyone();
  a.Connect();
  const std::string receipt(1000, 'r');
  for (int i = 0; i < 100 && !a.ended(); ++i) {
    a.Send("/topic/t", "x", absl::StrCat("receipt:", receipt, "|"));
  }
  EXPECT_THAT(a.Take(), HasSubstr("slow consumer"));
  EXPECT_TRUE(a.ended());
}

TEST_F(BrokerRouterTest, TurnsAreKeptAcrossAcknowledgementModes) {
  BenchClient a = Anyone(), b = Anyone(), sender = Anyone();
  for (BenchClient* client : {&a, &b, &sender}) client->Connect();
  a.Subscribe("/queue/q", "s", "client");
  b.Subscribe("/queue/q", "s", "auto");
  for (const char* body : {"1", "2", "3", "4"}) sender.Send("/queue/q", body);
  EXPECT_EQ(a.NextBody(), "1");
  EXPECT_EQ(b.NextBody(), "2");
  EXPECT_EQ(a.NextBody(), "3");
  EXPECT_EQ(b.NextBody(), "4");
}

TEST_F(BrokerRouterTest, DropsAConsumerThatFallsTooFarBehind) {
  Make({.body_bytes = 10'000, .consumer_bytes = 50'000});
  BenchClient slow = Anyone(), good = Anyone();
  slow.Connect();
  good.Connect();
  slow.Subscribe("/topic/t");
  good.Subscribe("/topic/t");
  slow.Take();
  good.Send("/topic/t", "first");
  slow.Take(3);
  for (int i = 0; i < 10; ++i) {
    good.Send("/topic/t", std::string(9000, 'x'));
    good.Take();
  }
  EXPECT_TRUE(slow.ended());
  EXPECT_FALSE(good.ended());
  EXPECT_EQ(core->counters().slow_consumers_dropped, 1u);
  // What was partly written is completed, so that the ERROR can be read.
  const std::string rest = slow.Take();
  EXPECT_THAT(rest, HasSubstr("SAGE\n"));
  EXPECT_THAT(rest, HasSubstr("first"));
  EXPECT_THAT(rest, HasSubstr("slow consumer: more than 50000 bytes waited"));
}

TEST_F(BrokerRouterTest, DropsAConsumerThatReadsNothing) {
  BenchClient stuck = Anyone();
  stuck.Connect();
  stuck.Subscribe("/topic/t");
  stuck.Send("/topic/t", "x");
  core->OnWritten(stuck.session(), 0, clock.Read());
  Pass(kStallTimeMax - absl::Seconds(1));
  EXPECT_FALSE(stuck.ended());
  Pass(absl::Seconds(1));
  EXPECT_EQ(stuck.Error(), "slow consumer: nothing read for 30s");
}

TEST_F(BrokerRouterTest, AStoppedReaderLosesItsQueueMessagesToOthers) {
  BenchClient stuck = Anyone(), good = Anyone();
  stuck.Connect();
  good.Connect();
  stuck.Subscribe("/queue/q", "s", "client");
  good.Send("/queue/q", "precious");
  core->OnWritten(stuck.session(), 0, clock.Read());
  good.Subscribe("/queue/q");
  EXPECT_TRUE(good.Frames().empty());
  Pass(kStallTimeMax);
  EXPECT_EQ(good.NextBody(), "precious");
}

TEST_F(BrokerRouterTest, TheLargestGoesWhenMemoryIsFull) {
  Make({.body_bytes = 100'000, .total_bytes = 500'000});
  std::deque<BenchClient> hogs;
  BenchClient good = Anyone();
  good.Connect();
  good.Say("SEND|destination:/topic/t|");
  for (int i = 0; i < 10; ++i) {
    hogs.emplace_back(core.get(), &clock, BrokerPeer{BrokerPeer::Kind::kAnyone, ""});
    hogs.back().Connect();
    hogs.back().Say("SEND|destination:/topic/t|content-length:99999||");
    hogs.back().SayBytes(std::string(90'000 + 100 * i, 'x'));
    EXPECT_LE(core->counters().bytes_held, 510'000u);
  }
  int ended = 0;
  for (BenchClient& hog : hogs) ended += hog.ended() ? 1 : 0;
  EXPECT_GE(ended, 4);
  EXPECT_FALSE(good.ended());
}

TEST_F(BrokerRouterTest, ATransactionIsAllOrNothing) {
  BenchClient a = Anyone(), b = Anyone();
  a.Connect();
  b.Connect();
  b.Subscribe("/queue/q");
  a.Say("BEGIN|transaction:t||^BEGIN|transaction:u||^");
  a.Send("/queue/q", "1", "transaction:t|");
  a.Send("/queue/q", "dropped", "transaction:u|");
  a.Send("/queue/q", "2", "transaction:t|receipt:r|");
  EXPECT_EQ(*a.Next().Find("receipt-id"), "r");
  EXPECT_TRUE(b.Frames().empty());
  a.Say("ABORT|transaction:u||^COMMIT|transaction:t||^");
  EXPECT_EQ(b.NextBody(), "1");
  EXPECT_EQ(b.NextBody(), "2");
  EXPECT_TRUE(b.Frames().empty());
}

TEST_F(BrokerRouterTest, AnAcknowledgementMayBePartOfATransaction) {
  BenchClient a = Anyone(), b = Anyone();
  a.Connect();
  b.Connect();
  a.Subscribe("/queue/q", "s", "client");
  a.Send("/queue/q", "1");
  const std::string id = *a.Next().Find("ack");
  a.Say(absl::StrCat("BEGIN|transaction:t||^ACK|id:", id, "|transaction:t||^"));
  a.Drop();
  b.Subscribe("/queue/q");
  EXPECT_EQ(b.NextBody(), "1");
}

TEST_F(BrokerRouterTest, TransactionsAreBounded) {
  BenchClient a = Anyone();
  a.Connect();
  for (size_t i = 0; i <= kTransactionsMax && !a.ended(); ++i) {
    a.Say(absl::StrCat("BEGIN|transaction:", i, "||^"));
  }
  EXPECT_THAT(a.Error(), HasSubstr("more than 16 transactions"));
  BenchClient b = Anyone();
  b.Connect();
  b.Say("BEGIN|transaction:t||^");
  for (size_t i = 0; i <= kTransactionFramesMax && !b.ended(); ++i) {
    b.Send("/queue/q", "x", "transaction:t|");
  }
  EXPECT_THAT(b.Error(), HasSubstr("more than 1000 frames or 4194304 bytes"));
}

TEST_F(BrokerRouterTest, ACommitThatDoesNotFitSendsNothing) {
  Make({.body_bytes = 1000, .queue_bytes = 20'000});
  BenchClient a = Anyone(), b = Anyone();
  a.Connect();
  b.Connect();
  a.Say("BEGIN|transaction:t||^");
  for (int i = 0; i < 30; ++i) a.Send("/queue/q", std::string(900, 'x'), "transaction:t|");
  a.Say("COMMIT|transaction:t||^");
  EXPECT_THAT(a.Error(), HasSubstr("COMMIT t: the queue is full"));
  b.Subscribe("/queue/q");
  EXPECT_TRUE(b.Frames().empty());
}

}  // namespace
}  // namespace orch::bus
