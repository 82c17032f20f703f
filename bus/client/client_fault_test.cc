// SPDX-License-Identifier: Apache-2.0
// Callbacks that pull the floor away, connections that break anywhere, brokers that misbehave.
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "base/asio.h"
#include "bus/client/client.h"
#include "bus/client/client_fixture.h"
#include "bus/stomp/frame.h"
#include "test/testing/faulty_stream.h"

namespace orch::bus {
namespace {

using testing::Connect;
using testing::Connected;
using testing::Message;

const absl::Time kNeverVoid = absl::InfiniteFuture();

class ClientFaultTest : public ClientTest {
 protected:
  void ScriptWithSubscription() {
    peer_->NextConnection()
        .Expect(Connect())
        .Reply(Connected())
        .Expect(testing::Subscribe("/topic/a"))
        .ReplyReceipt();
  }
};

TEST_F(ClientFaultTest, OnMessageMayDestroyTheClient) {
  ScriptWithSubscription();
  peer_->Reply(Message("1", "first")).Reply(Message("1", "second"));
  Make();
  client_->Subscribe("/topic/a", [this, held = std::string(100, 'x')](Delivery delivery) {
    client_.reset();
    messages_.push_back(delivery.body + held.substr(99));
  });
  Start();
  Until([&] { return peer_->open() == 0; });
  EXPECT_EQ(messages_, std::vector<std::string>{"firstx"});
}

TEST_F(ClientFaultTest, OnChangeMayDestroyTheClient) {
  for (const bool when : {true, false}) {
    peer_->NextConnection().Expect(Connect()).Reply(Connected());
    if (!when) peer_->HangUp();
    Make();
    int calls = 0;
    On([&] {
      client_->Start([&, held = std::string(100, 'x')](bool connected) {
        if (connected == when) client_.reset();
        calls += held.size() == 100 ? 1 : 1000;
      });
    });
    Until([&] { return client_ == nullptr && peer_->open() == 0; });
    testing::RunReady(&io_);
    EXPECT_EQ(calls, when ? 1 : 2);
  }
}

TEST_F(ClientFaultTest, SentMayDestroyTheClient) {
  // Once confirmed, once lost; of two callbacks only the first comes.
  for (const bool confirmed : {true, false}) {
    ScriptConnect().Expect(testing::Send("/a", "1"));
    if (confirmed) peer_->ReplyReceipt();
    peer_->Expect(testing::Send("/a", "2"));
    if (confirmed) {
      peer_->ReplyReceipt();
    } else {
      peer_->HangUp();
    }
    Make();
    changes_.clear();
    Start();
    UntilChanges({true});
    int calls = 0;
    On([&] {
      for (const char* body : {"1", "2"}) {
        client_->SendWithReceipt("/a", body, kNeverVoid, [&](absl::Status status) {
          EXPECT_EQ(status.ok(), confirmed) << status;
          ++calls;
          client_.reset();
        });
      }
    });
    Until([&] { return client_ == nullptr && peer_->open() == 0; });
    testing::RunReady(&io_);
    EXPECT_EQ(calls, 1);
  }
}

TEST_F(ClientFaultTest, DoneMayDestroyTheClient) {
  ScriptConnect().Expect(testing::Disconnect()).ReplyReceipt();
  Make();
  Start();
  UntilChanges({true});
  On([&] { client_->Stop([&] { client_.reset(); }); });
  Until([&] { return client_ == nullptr && peer_->open() == 0; });
}

TEST_F(ClientFaultTest, CallbacksMayCallEverything) {
  ScriptConnect()
      .Expect(testing::Subscribe("/topic/a"))
      .ReplyReceipt()
      .Expect(testing::Send("/a", "from on_change"))
      .ReplyReceipt()
      .Reply(Message("1", "go"))
      .Expect(testing::Subscribe("/topic/b"))
      .ReplyReceipt()
      .Expect(testing::Disconnect())
      .ReplyReceipt();
  Make();
  bool stopped = false;
  On([&] {
    client_->Start([&](bool connected) {
      changes_.push_back(connected);
      client_->Subscribe("/topic/a", [&](Delivery) {
        // Makes the list of subscriptions grow while one of them runs.
        Subscribe("/topic/b");
        client_->Stop([&] { stopped = true; });
      });
      client_->SendWithReceipt("/a", "from on_change", kNeverVoid, Record());
    });
  });
  Until([&] { return stopped; });
  EXPECT_EQ(changes_, std::vector<bool>{true});
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_TRUE(sent_[0].ok());
}

TEST_F(ClientFaultTest, ReconnectWithinAMessageDropsTheRestOfTheRead) {
  ScriptWithSubscription();
  peer_->ReplyBytes(Encode(Message("1", "one")) + Encode(Message("1", "two")));
  ScriptWithSubscription();
  Make();
  client_->Subscribe("/topic/a", [&](Delivery delivery) {
    messages_.push_back(delivery.body);
    client_->Reconnect("enough");
  });
  Start();
  UntilChanges({true, false, true});
  EXPECT_EQ(messages_, std::vector<std::string>{"one"});
}

TEST_F(ClientFaultTest, DestroyedAtAnyMomentItLeavesNothing) {
  for (int steps = 0; steps < 60; ++steps) {
    peer_ = std::make_shared<testing::StompPeer>(strand_);
    ScriptWithSubscription();
    peer_->Reply(Message("1", "x"));
    Make();
    Subscribe("/topic/a");
    changes_.clear();
    Start();
    for (int i = 0; i < steps; ++i) {
      if (io_.stopped()) io_.restart();
      io_.poll_one();
    }
    client_.reset();
    const size_t messages = messages_.size();
    const size_t changes = changes_.size();
    testing::RunUntil(&io_, [&] { return peer_->open() == 0; });
    testing::RunReady(&io_);
    EXPECT_EQ(peer_->open(), 0) << steps;
    EXPECT_EQ(messages_.size(), messages) << steps;
    EXPECT_EQ(changes_.size(), changes) << steps;
  }
}

TEST_F(ClientFaultTest, BytesMayComeOneByOne) {
  ScriptWithSubscription();
  peer_->Reply(Message("1", std::string(3000, 'x')))
      .Expect(testing::Send("/a", "y"))
      .ReplyReceipt();
  Make(testing::NewFaultyStreams(peer_, {.read_max = 1}));
  Subscribe("/topic/a");
  Start();
  UntilChanges({true});
  On([&] { client_->SendWithReceipt("/a", "y", kNeverVoid, Record()); });
  Until([&] { return sent_.size() == 1 && messages_.size() == 1; });
  EXPECT_EQ(messages_[0].size(), 9 + 3000u);
  EXPECT_TRUE(sent_[0].ok());
}

// The first connection goes wrong, the following ones don't.
class FirstIsFaulty : public StreamFactory {
 public:
  FirstIsFaulty(std::shared_ptr<StreamFactory> inner, testing::Faults faults)
      : inner_(std::move(inner)), faulty_(testing::NewFaultyStreams(inner_, faults)) {}
  base::Awaitable<absl::StatusOr<std::unique_ptr<Stream>>> Connect(base::Strand strand,
                                                                   std::string address) override {
    return std::exchange(first_, false) ? faulty_->Connect(strand, address)
                                        : inner_->Connect(strand, address);
  }

 private:
  const std::shared_ptr<StreamFactory> inner_;
  const std::shared_ptr<StreamFactory> faulty_;
  bool first_ = true;
};

TEST_F(ClientFaultTest, ACutAnywhereIsFollowedByAGoodConnection) {
  ScriptWithSubscription();
  Make();
  Subscribe("/topic/a");
  Start();
  UntilChanges({true});
  const ClientStatus whole = client_->status();
  for (const bool reading : {true, false}) {
    const size_t end = reading ? whole.bytes_in : whole.bytes_out;
    ASSERT_GT(end, 50u);
    for (size_t at = 0; at < end; at += 2) {
      peer_ = std::make_shared<testing::StompPeer>(strand_);
      for (int i = 0; i < 2; ++i) ScriptWithSubscription();
      peer_->Reply(Message("1", "second"));
      testing::Faults faults;
      (reading ? faults.cut_after_read : faults.cut_after_wrote) = at;
      Make(std::make_shared<FirstIsFaulty>(peer_, faults));
      Subscribe("/topic/a");
      messages_.clear();
      Start();
      // The peer misses what was cut off: its failure is not asked for here.
      ASSERT_TRUE(testing::RunUntil(&io_, [&] { return messages_.size() == 1; }))
          << (reading ? "read " : "written ") << at;
      EXPECT_EQ(peer_->addresses().size(), 2u);
      client_.reset();
      testing::RunReady(&io_);
    }
  }
}

TEST_F(ClientFaultTest, HostileBrokersCostOnlyTheConnection) {
  const std::vector<std::string> hostile = {
      Encode(Message("1", "too early")),
      Encode(Connected("1.0")),
      Encode(Connected("1.3")),
      Encode(Connected()) + Encode(Connected()),
      Encode({"RECEIPT", {{"receipt-id", "1"}}, ""}),
      "HTTP/1.1 400 Bad Request\r\n\r\n",
      std::string("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10),
      std::string(64 << 10, 'A'),
      "CONNECTED\nversion:1.2\nheart-beat:x\n\n" + std::string(1, '\0'),
      "MESSAGE\ncontent-length:99999999999999999999\n\n",
  };
  for (const std::string& bytes : hostile) {
    peer_->NextConnection().Expect(Connect()).ReplyBytes(bytes);
  }
  ScriptConnect();
  Make();
  Start();
  Until([&] { return client_->status().connected && peer_->open() == 1; });
  EXPECT_EQ(peer_->addresses().size(), hostile.size() + 1);
}

TEST_F(ClientFaultTest, ABrokerThatHangsUpIsNotHammered) {
  config_.mutable_reconnect_min()->set_seconds(3600);
  config_.mutable_reconnect_max()->set_seconds(3600);
  ScriptConnect().HangUp();
  ScriptConnect().HangUp();
  Make();
  Start();
  UntilChanges({true, false});
  testing::RunReady(&io_);
  EXPECT_EQ(peer_->addresses().size(), 1u);
}

// Accepts and then nothing, as a host behind a firewall that drops.
class NeverConnects : public StreamFactory {
 public:
  base::Awaitable<absl::StatusOr<std::unique_ptr<Stream>>> Connect(base::Strand strand,
                                                                   std::string) override {
    ++attempts;
    base::asio::steady_timer never(strand, base::asio::steady_timer::time_point::max());
    co_await never.async_wait(base::kTuple);
    ++cancelled;
    co_return absl::UnavailableError("cancelled");
  }
  int attempts = 0;
  int cancelled = 0;
};

TEST_F(ClientFaultTest, StopAndDestructionEndAnAttemptUnderWay) {
  for (const bool stop : {true, false}) {
    auto never = std::make_shared<NeverConnects>();
    Make(never);
    Start();
    Until([&] { return never->attempts == 1; });
    bool stopped = !stop;
    if (stop) {
      On([&] { client_->Stop([&] { stopped = true; }); });
    } else {
      client_.reset();
    }
    ASSERT_TRUE(testing::RunUntil(&io_, [&] { return stopped && never->cancelled == 1; }));
  }
}

}  // namespace
}  // namespace orch::bus
