// SPDX-License-Identifier: Apache-2.0
// A broker that breaks the rules costs its connection and nothing else.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "bus/client/session.h"
#include "bus/client/session_fixture.h"

namespace orch::bus {
namespace {

using SessionHostileTest = SessionTest;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

TEST_F(SessionHostileTest, ErrorInsteadOfConnectedIsARefusal) {
  TakeFrames();
  ExpectEnded(Feed({"ERROR", {{"message", "Bad CONNECT"}}, ""}),
              absl::StatusCode::kPermissionDenied, "refused: Bad CONNECT");
}

TEST_F(SessionHostileTest, ErrorForASubscriptionNamesIt) {
  session_->Subscribe(1, "/topic/a");
  session_->Subscribe(2, "/topic/b");
  TakeFrames();
  FeedConnected();
  const std::vector<Frame> frames = TakeFrames();
  ExpectEnded(Feed({"ERROR",
                    {{"message", "not authorized"}, {"receipt-id", Value(frames[1], "receipt")}},
                    ""}),
              absl::StatusCode::kPermissionDenied, "subscribe /topic/b: refused: not authorized");
}

TEST_F(SessionHostileTest, AnyOtherErrorEndsTheConnection) {
  MakeReady();
  ExpectEnded(Feed({"ERROR", {{"message", "going down"}, {"receipt-id", "77"}}, ""}),
              absl::StatusCode::kUnavailable, "the broker says: going down");
}

TEST_F(SessionHostileTest, NothingMayComeBeforeConnected) {
  for (const char* command : {"MESSAGE", "RECEIPT"}) {
    Begin({});
    session_->Subscribe(1, "/topic/a");
    TakeFrames();
    ExpectEnded(Feed({command, {{"subscription", "1"}, {"receipt-id", "1"}}, ""}), kInvalid,
                "before CONNECTED");
  }
}

TEST_F(SessionHostileTest, ConnectedComesOnce) {
  MakeReady();
  ExpectEnded(FeedConnected(), kInvalid, "CONNECTED twice");
}

TEST_F(SessionHostileTest, OnlyVersionsThatWereOffered) {
  for (const char* version : {"1.0", "1.3", "", "1.2 ", "2"}) {
    Begin({});
    TakeFrames();
    ExpectEnded(FeedConnected("0,0", version), kInvalid, "1.1 or 1.2 is needed");
  }
  Begin({});
  TakeFrames();
  ExpectEnded(Feed({"CONNECTED", {}, ""}), kInvalid, "STOMP 1.0");
}

TEST_F(SessionHostileTest, HeartBeatsMustBeTwoNumbers) {
  for (const char* beat : {"", "1", "1,2,3", "a,b", "-1,0", "1,99999999999", ",", "1;2"}) {
    Begin({});
    TakeFrames();
    ExpectEnded(FeedConnected(beat), kInvalid, "not two numbers");
  }
}

TEST_F(SessionHostileTest, HugeHeartBeatsOverflowNothing) {
  TakeFrames();
  ASSERT_EQ(FeedConnected("4294967295,4294967295").size(), 1u);
  EXPECT_GT(session_->next_deadline(), clock_.Read().steady + absl::Hours(24));
}

TEST_F(SessionHostileTest, NoBrokerSendsClientFrames) {
  for (const char* command : {"SEND", "CONNECT", "SUBSCRIBE", "ACK"}) {
    Begin({});
    MakeReady();
    const auto events = Feed({command, {{"destination", "/a"}, {"id", "1"}}, ""});
    ASSERT_EQ(events.size(), 1u) << command;
    EXPECT_EQ(events[0].kind, Kind::kEnded) << command;
  }
}

TEST_F(SessionHostileTest, MessagesForNothingOfOursAreCountedAndIgnored) {
  session_->Subscribe(1, "/topic/a");
  TakeFrames();
  FeedConnected();
  for (const char* id : {"2", "0", "-1", "1x", "", "18446744073709551616"}) {
    EXPECT_TRUE(Feed({"MESSAGE", {{"subscription", id}, {"destination", "/topic/a"}}, "x"}).empty())
        << id;
  }
  EXPECT_TRUE(Feed({"MESSAGE", {{"destination", "/topic/a"}}, "x"}).empty());
  EXPECT_EQ(session_->counts().ignored, 7u);
  EXPECT_EQ(Feed({"MESSAGE", {{"subscription", "1"}}, "x"}).size(), 1u);
}

TEST_F(SessionHostileTest, ReceiptsForNothingOfOursAreCountedAndIgnored) {
  session_->Subscribe(1, "/topic/a");
  TakeFrames();
  FeedConnected();
  // Numbered, but not written yet: the broker guesses.
  EXPECT_TRUE(FeedReceipt("1").empty());
  const std::vector<Frame> frames = TakeFrames();
  for (const char* id : {"", "x", "99", "-1"}) EXPECT_TRUE(FeedReceipt(id).empty()) << id;
  EXPECT_TRUE(Feed({"RECEIPT", {}, ""}).empty());
  EXPECT_EQ(session_->counts().stray_receipts, 6u);
  EXPECT_EQ(session_->counts().ignored, 0u);
  EXPECT_EQ(FeedReceipt(Value(frames[0], "receipt")).size(), 1u);
}

TEST_F(SessionHostileTest, ReceiptsWithoutEndAreAFlood) {
  MakeReady();
  std::vector<Session::Event> events;
  uint64_t fed = 0;
  while (events.empty() && fed < 10'000) {
    events = FeedReceipt("7");
    ++fed;
  }
  EXPECT_EQ(fed, Session::kStrayReceiptsMax + 1);
  ExpectEnded(events, absl::StatusCode::kResourceExhausted, "RECEIPTs that nobody asked for");
  EXPECT_EQ(events[0].fault, Fault::kFlood);
}

// With RabbitMQ whoever publishes can set `subscription`: it may cost the broker's connection
// nothing.
TEST_F(SessionHostileTest, MessagesForNothingEndNothingHoweverMany) {
  session_->Subscribe(1, "/topic/a");
  TakeFrames();
  FeedConnected();
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_TRUE(Feed({"MESSAGE", {{"subscription", "9"}, {"message-id", "1"}}, "x"}).empty());
  }
  EXPECT_EQ(session_->counts().ignored, 100'000u);
}

// The first header counts, and it decides no more than which of our own subscriptions it is: the
// destination that is told is the one that we subscribed.
TEST_F(SessionHostileTest, HeadersThatAPublisherMaySetDecideNothing) {
  session_->Subscribe(1, "/topic/a");
  session_->Subscribe(2, "/topic/b");
  TakeFrames();
  FeedConnected();
  const auto events = Feed({"MESSAGE",
                            {{"subscription", "2"},
                             {"subscription", "1"},
                             {"destination", "/queue/other"},
                             {"reply-to", "/queue/evil"},
                             {"message-id", "x\ny"},
                             {"ack", "1"},
                             {"receipt", "5"},
                             {"receipt-id", "1"},
                             {"heart-beat", "1,1"},
                             {"version", "1.0"}},
                            "x"});
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, Kind::kMessage);
  EXPECT_EQ(events[0].id, 2u);
  EXPECT_EQ(TakeFrames().size(), 2u) << "nothing but the subscriptions is said";
}

TEST_F(SessionHostileTest, HeartBeatsWithoutEndAreAFlood) {
  MakeReady();
  const std::string beats(100, '\n');
  std::vector<Session::Event> events;
  size_t fed = 0;
  while (events.empty() && fed < 1'000'000) {
    events = session_->OnBytes(beats, clock_.Read());
    fed += beats.size();
  }
  EXPECT_EQ(fed, Session::kHeartBeatsMax + beats.size());
  ExpectEnded(events, absl::StatusCode::kResourceExhausted, "heart-beats within 10s");
  EXPECT_EQ(events[0].fault, Fault::kFlood);
}

TEST_F(SessionHostileTest, AnEmptyLineBehindEachFrameIsNoFlood) {
  session_->Subscribe(1, "/topic/a");
  TakeFrames();
  FeedConnected();
  const std::string frame = Encode({"MESSAGE", {{"subscription", "1"}}, "x"}) + "\n";
  for (int i = 0; i < 20'000; ++i) {
    ASSERT_EQ(session_->OnBytes(frame, clock_.Read()).size(), 1u);
    clock_.Advance(absl::Milliseconds(1));
  }
  // Nor are beats as often as any broker sends them, for days.
  for (int i = 0; i < 20'000; ++i) {
    clock_.Advance(absl::Milliseconds(100));
    ASSERT_TRUE(session_->OnBytes("\n", clock_.Read()).empty());
  }
}

TEST_F(SessionHostileTest, EachEndHasItsFault) {
  const auto fault_of = [this](const std::string& bytes, bool ready) {
    Begin({});
    ready ? MakeReady() : (void)TakeFrames();
    const auto events = session_->OnBytes(bytes, clock_.Read());
    return events.empty() ? "nothing" : std::string(FaultName(events.back().fault));
  };
  EXPECT_EQ(fault_of("\1", true), "malformed");
  EXPECT_EQ(fault_of(std::string(100, 'A'), true), "limit");
  EXPECT_EQ(fault_of("MESSAGE\ncontent-length:99999999\n\n", true), "limit");
  EXPECT_EQ(fault_of(Encode({"NACK", {}, ""}), true), "order");
  EXPECT_EQ(fault_of(Encode({"CONNECTED", {{"version", "1.3"}}, ""}), false), "order");
  EXPECT_EQ(fault_of(Encode({"ERROR", {{"message", "no"}}, ""}), false), "refused");
  EXPECT_EQ(fault_of(Encode({"ERROR", {{"message", "no"}}, ""}), true), "error");
  EXPECT_EQ(fault_of(std::string(2000, '\n'), true), "flood");
}

TEST_F(SessionHostileTest, MalformedBytesEndItAfterWhatWasGood) {
  session_->Subscribe(1, "/topic/a");
  TakeFrames();
  FeedConnected();
  const std::string good = Encode({"MESSAGE", {{"subscription", "1"}}, "good"});
  const auto events = session_->OnBytes(good + "MESSAGE\nno colon\n\n", clock_.Read());
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].body, "good");
  ExpectEnded(events, kInvalid, "the broker's frame");
}

TEST_F(SessionHostileTest, EndlessFramesMeetTheLimits) {
  MakeReady();
  std::vector<Session::Event> events =
      session_->OnBytes("MESSAGE\nsubscription:1\ncontent-length:2000000\n\n", clock_.Read());
  ExpectEnded(events, absl::StatusCode::kResourceExhausted, "body");

  Begin({});
  MakeReady();
  session_->OnBytes("MESSAGE\n\n", clock_.Read());
  const std::string chunk(8 << 10, 'x');
  size_t fed = 0;
  events.clear();
  while (events.empty() && fed < (4 << 20)) {
    events = session_->OnBytes(chunk, clock_.Read());
    fed += chunk.size();
  }
  EXPECT_LE(fed, (1u << 20) + 2 * chunk.size());
  ExpectEnded(events, absl::StatusCode::kResourceExhausted, "body");
}

TEST_F(SessionHostileTest, ErrorTextsFromTheWireArePrintable) {
  TakeFrames();
  const auto events = FeedConnected("0,0", "\x1b]0;x\x07");
  ASSERT_EQ(events.size(), 1u);
  for (char c : std::string(events[0].status.message())) {
    EXPECT_TRUE(c >= 0x20 && c < 0x7f) << events[0].status;
  }
}

}  // namespace
}  // namespace orch::bus
