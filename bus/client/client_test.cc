// SPDX-License-Identifier: Apache-2.0
#include "bus/client/client.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <fstream>
#include <set>

#include "absl/strings/match.h"
#include "bus/client/client_fixture.h"
#include "bus/stomp/frame.h"

namespace orch::bus {
namespace {

using testing::Connect;
using testing::Connected;
using testing::Disconnect;
using testing::Error;
using testing::Message;

const absl::Time kNever = absl::InfiniteFuture();

TEST_F(ClientTest, ConnectsSubscribesAndDelivers) {
  peer_->NextConnection()
      .Expect({"CONNECT", {{"host", "broker1"}, {"client-id", "test"}}})
      .Reply(Connected())
      .Expect(testing::Subscribe("/topic/a"))
      .ReplyReceipt()
      .Expect(testing::Subscribe("/queue/b"))
      .ReplyReceipt()
      .Reply(Message("2", "for b"))
      .Reply(Message("7", "for nobody"))
      .Reply(Message("1", "for a"));
  Make();
  EXPECT_FALSE(client_->status().connected);
  Subscribe("/topic/a");
  Subscribe("/queue/b");
  Start();
  Until([&] { return messages_.size() == 2; });
  EXPECT_EQ(messages_, (std::vector<std::string>{"/queue/b for b", "/topic/a for a"}));
  EXPECT_EQ(changes_, std::vector<bool>{true});
  const ClientStatus status = client_->status();
  EXPECT_TRUE(status.connected);
  EXPECT_EQ(status.broker, "broker1:61613");
  EXPECT_EQ(status.last_error, "");
  EXPECT_EQ(status.connects, 1u);
  EXPECT_EQ(status.ignored, 1u);
  EXPECT_EQ(status.frames_in, 6u);
  EXPECT_EQ(status.frames_out, 3u);
}

TEST_F(ClientTest, IsNotConnectedBeforeTheLastReceipt) {
  peer_->NextConnection()
      .Expect(Connect())
      .Reply(Connected())
      .Expect(testing::Subscribe("/topic/a"))
      .Expect(testing::Subscribe("/topic/b"))
      .ReplyReceipt()
      .Reply(Message("2", "early"));
  Make();
  Subscribe("/topic/a");
  Subscribe("/topic/b");
  Start();
  Until([&] { return messages_.size() == 1; });
  EXPECT_TRUE(changes_.empty());
  EXPECT_FALSE(client_->status().connected);
}

TEST_F(ClientTest, SendsWithAndWithoutReceiptInOrder) {
  ScriptConnect()
      .Expect({"SEND", {{"destination", "/topic/a"}, {"persistent", "false"}}, "one"})
      .Expect(testing::Send("/topic/a", "two"))
      .ReplyReceipt();
  Make();
  Start();
  UntilChanges({true});
  On([&] {
    client_->Send("/topic/a", "one", kNever);
    client_->SendWithReceipt("/topic/a", "two", kNever, Record());
    EXPECT_TRUE(sent_.empty());
  });
  Until([&] { return sent_.size() == 1; });
  EXPECT_TRUE(sent_[0].ok()) << sent_[0];
}

TEST_F(ClientTest, WithoutAConnectionSendsAreLostOrSaySo) {
  Make();
  On([&] {
    client_->Send("/topic/a", "x", kNever);
    client_->SendWithReceipt("/topic/a", "x", kNever, Record());
    EXPECT_TRUE(sent_.empty()) << "never from within SendWithReceipt";
  });
  Until([&] { return sent_.size() == 1; });
  EXPECT_EQ(sent_[0].code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(sent_[0].message(), "send /topic/a: not connected to broker1:61613");
}

TEST_F(ClientTest, ComesBackWithItsSubscriptions) {
  for (int i = 0; i < 2; ++i) {
    peer_->NextConnection()
        .Expect(Connect())
        .Reply(Connected())
        .Expect(testing::Subscribe("/topic/a"))
        .ReplyReceipt();
    if (i == 0) peer_->Expect(testing::Send("/topic/a", "x")).HangUp();
  }
  Make();
  Subscribe("/topic/a");
  Start();
  UntilChanges({true});
  On([&] { client_->SendWithReceipt("/topic/a", "x", kNever, Record()); });
  UntilChanges({true, false, true});
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(sent_[0].message(), "not confirmed: broker1:61613: ")) << sent_[0];
  EXPECT_EQ(client_->status().connects, 2u);
}

TEST_F(ClientTest, ASubscriptionMadeLaterIsRestoredToo) {
  ScriptConnect().Expect(testing::Subscribe("/topic/late")).ReplyReceipt().HangUp();
  ScriptConnect().Expect(testing::Subscribe("/topic/late")).ReplyReceipt().Reply(Message("1", "x"));
  Make();
  Start();
  UntilChanges({true});
  On([&] { Subscribe("/topic/late"); });
  Until([&] { return messages_.size() == 1; });
}

TEST_F(ClientTest, TakesTheBrokersInTurn) {
  config_.add_brokers("broker2:61613");
  config_.add_brokers("broker3:61613");
  peer_->RefuseConnection("Connection refused");
  ScriptConnect().HangUp();
  peer_->RefuseConnection("Connection refused");
  ScriptConnect();
  Make();
  Start();
  UntilChanges({true, false, true});
  // The one that was just lost comes last.
  EXPECT_EQ(peer_->addresses(), (std::vector<std::string>{"broker1:61613", "broker2:61613",
                                                          "broker1:61613", "broker3:61613"}));
  const ClientStatus status = client_->status();
  EXPECT_EQ(status.broker, "broker3:61613");
  EXPECT_EQ(status.connects, 2u);
  EXPECT_EQ(status.reconnects, 1u);
  EXPECT_EQ(status.failovers, 1u);
  EXPECT_EQ(status.failures, 2u);
}

// Whatever the back-off is: it comes after the whole list.
TEST_F(ClientTest, TheNextBrokerIsTriedAtOnce) {
  for (int i = 2; i <= 5; ++i) config_.add_brokers("broker" + std::to_string(i) + ":61613");
  config_.mutable_reconnect_min()->set_seconds(3600);
  config_.mutable_reconnect_max()->set_seconds(3600);
  for (int i = 1; i < 5; ++i) peer_->RefuseConnection("Connection refused");
  ScriptConnect();
  Make();
  Start();
  UntilChanges({true});
  EXPECT_EQ(peer_->addresses().size(), 5u);
}

TEST_F(ClientTest, ARandomOrderDiffersAmongClients) {
  config_.set_order(BROKER_ORDER_RANDOM);
  for (int i = 2; i <= 8; ++i) config_.add_brokers("broker" + std::to_string(i) + ":61613");
  std::set<std::string> first;
  for (int i = 0; i < 30; ++i) {
    ScriptConnect();
    changes_.clear();
    Make();
    Start();
    UntilChanges({true});
    first.insert(peer_->addresses().back());
  }
  EXPECT_GT(first.size(), 2u);
}

TEST_F(ClientTest, SaysSinceWhenItIsAway) {
  const absl::Time begin = absl::Now();
  ScriptConnect();
  Make();
  Start();
  EXPECT_GE(client_->status().away_since, begin);
  UntilChanges({true});
  const absl::Time connected = client_->status().connected_since;
  EXPECT_GE(connected, begin);
  On([&] { client_->Reconnect("test"); });
  UntilChanges({true, false});
  const ClientStatus status = client_->status();
  EXPECT_FALSE(status.connected);
  EXPECT_GE(status.away_since, connected);
  EXPECT_FALSE(status.last_error.empty());
}

TEST_F(ClientTest, AFloodIsReadAtThePaceThatWasSet) {
  ScriptConnect().Expect(testing::Subscribe("/topic/a")).ReplyReceipt();
  std::string flood;
  for (int i = 0; i < 1500; ++i) flood += Encode(Message("1", "x"));
  peer_->ReplyBytes(flood);
  messages_per_second_ = 500;
  Make();
  Subscribe("/topic/a");
  Start();
  const absl::Time begin = absl::Now();
  Until([&] { return messages_.size() == 1500; });
  // The first 500 are a burst that is free, and what one read brings may be overdrawn.
  EXPECT_GE(absl::Now() - begin, absl::Seconds(1));
  EXPECT_GE(client_->status().paused, 1u);
}

TEST_F(ClientTest, ReconnectTakesTheNextBroker) {
  config_.add_brokers("broker2:61613");
  ScriptConnect();
  ScriptConnect();
  Make();
  Start();
  UntilChanges({true});
  On([&] { client_->Reconnect("deaf: three beacons missed"); });
  UntilChanges({true, false, true});
  EXPECT_EQ(peer_->addresses().back(), "broker2:61613");
  Until([&] { return peer_->open() == 1; });
}

TEST_F(ClientTest, SaysWhyItWasRefused) {
  peer_->NextConnection().Expect(Connect()).Reply(Error("Bad CONNECT"));
  config_.mutable_reconnect_min()->set_seconds(3600);
  config_.mutable_reconnect_max()->set_seconds(3600);
  Make();
  Start();
  Until([&] { return client_->status().last_error != "connecting"; });
  EXPECT_EQ(client_->status().last_error, "connect broker1:61613: refused: Bad CONNECT");
  EXPECT_TRUE(changes_.empty());
  // The peer left the connection open; the client did not.
  Until([&] { return peer_->open() == 0; });
}

TEST_F(ClientTest, AnErrorEndsAConnectionThatTheBrokerLeavesOpen) {
  ScriptConnect().Reply(Error("User x is not authorized to write to: topic://a"));
  ScriptConnect();
  Make();
  Start();
  UntilChanges({true, false, true});
  Until([&] { return peer_->open() == 1; });
}

TEST_F(ClientTest, StopSaysGoodbyeAndCallsDoneOnce) {
  ScriptConnect()
      .Expect(testing::Send("/queue/a", "last"))
      .ReplyReceipt()
      .Expect(Disconnect())
      .ReplyReceipt();
  Make();
  Start();
  UntilChanges({true});
  int stopped = 0;
  On([&] {
    client_->SendWithReceipt("/queue/a", "last", kNever, Record());
    client_->Stop([&] { ++stopped; });
  });
  Until([&] { return stopped == 1; });
  EXPECT_EQ(sent_, std::vector<absl::Status>{absl::OkStatus()});
  EXPECT_EQ(changes_, std::vector<bool>{true}) << "a stop is no loss";
  Until([&] { return peer_->open() == 0; });
  On([&] {
    client_->SendWithReceipt("/queue/a", "late", kNever, Record());
    client_->Stop([&] { stopped += 10; });
  });
  Until([&] { return stopped == 11; });
  testing::RunReady(&io_);
  EXPECT_EQ(sent_.size(), 1u);
}

TEST_F(ClientTest, StopDoesNotWaitForABrokerThatDoesNotAnswer) {
  ScriptConnect().Expect(Disconnect());
  Make();
  Start();
  UntilChanges({true});
  bool stopped = false;
  On([&] { client_->Stop([&] { stopped = true; }); });
  Until([&] { return stopped; });
}

TEST_F(ClientTest, StopDuringBackOffIsImmediate) {
  config_.mutable_reconnect_min()->set_seconds(3600);
  config_.mutable_reconnect_max()->set_seconds(3600);
  Make();
  Start();
  Until([&] { return absl::StrContains(client_->status().last_error, "not in the script"); });
  bool stopped = false;
  On([&] { client_->Stop([&] { stopped = true; }); });
  Until([&] { return stopped; });
  EXPECT_EQ(peer_->addresses().size(), 1u);
}

TEST_F(ClientTest, StopBeforeStartAndBeforeAnythingHappened) {
  Make();
  bool stopped = false;
  On([&] { client_->Stop([&] { stopped = true; }); });
  Until([&] { return stopped; });

  Make();
  stopped = false;
  On([&] {
    client_->Start([](bool) { FAIL(); });
    client_->Stop([&] { stopped = true; });
  });
  Until([&] { return stopped; });
  EXPECT_EQ(client_->status().connects, 0u);
}

TEST_F(ClientTest, HeartBeatsGoOutWhenIdle) {
  config_.mutable_heart_beat()->set_nanos(20'000'000);
  peer_->NextConnection().Expect(Connect()).Reply(Connected("1.2", "0,20"));
  Make();
  Start();
  Until([&] { return peer_->heart_beats() >= 3; });
  EXPECT_EQ(changes_, std::vector<bool>{true});
}

TEST_F(ClientTest, ASilentBrokerIsLeft) {
  config_.mutable_heart_beat()->set_nanos(20'000'000);
  peer_->NextConnection().Expect(Connect()).Reply(Connected("1.2", "20,0"));
  ScriptConnect();
  Make();
  Start();
  UntilChanges({true, false, true});
}

TEST_F(ClientTest, ThePasscodeIsReadAtEachConnect) {
  const std::string path = ::testing::TempDir() + "/passcode";
  std::remove(path.c_str());
  config_.set_login("mcollective");
  config_.set_passcode_file(path);
  Make();
  Start();
  Until([&] { return absl::StrContains(client_->status().last_error, "No such file"); });
  EXPECT_TRUE(absl::StartsWith(client_->status().last_error,
                               "connect broker1:61613: passcode_file " + path));
  EXPECT_TRUE(peer_->addresses().empty()) << "never without the passcode";
  for (const char* passcode : {"secret", "changed"}) {
    peer_->NextConnection()
        .Expect({"CONNECT", {{"login", "mcollective"}, {"passcode", passcode}}})
        .Reply(Connected());
    const std::string next = path + ".new";
    std::ofstream(next) << passcode << "\n";
    chmod(next.c_str(), 0600);
    ASSERT_EQ(std::rename(next.c_str(), path.c_str()), 0);
    if (passcode == std::string("changed")) On([&] { client_->Reconnect("test"); });
    Until([&] { return peer_->finished() && client_->status().connected; });
  }
}

TEST_F(ClientTest, TheSendQueueIsBoundedWhileTheBrokerDoesNotRead) {
  send_queue_bytes_ = 256 << 10;
  ScriptConnect().StopReading();
  Make();
  Start();
  UntilChanges({true});
  for (int i = 0; i < 100; ++i) {
    On([&] { client_->SendWithReceipt("/a", std::string(10 << 10, 'x'), kNever, Record()); });
  }
  Until([&] { return !sent_.empty(); });
  EXPECT_EQ(sent_[0].code(), absl::StatusCode::kResourceExhausted) << sent_[0];
  // What the peer's 64 KiB and the queue hold waits; all others have been told.
  EXPECT_GT(sent_.size(), 100u - (64 + 256) / 10 - 2);
  EXPECT_LT(sent_.size(), 100u - 256 / 10 + 2);
}

TEST_F(ClientTest, ABurstGoesOutAsFewWrites) {
  ScriptConnect();
  Make();
  Start();
  UntilChanges({true});
  On([&] {
    for (int i = 0; i < 500; ++i) client_->Send("/a", "x", kNever);
  });
  Until([&] { return peer_->received().size() == 501; });
}

}  // namespace
}  // namespace orch::bus
