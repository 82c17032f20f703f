// SPDX-License-Identifier: Apache-2.0
#include "bus/client/session.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bus/client/session_fixture.h"

namespace orch::bus {
namespace {

TEST_F(SessionTest, BeginsWithConnect) {
  const std::vector<Frame> frames = TakeFrames();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].command, "CONNECT");
  EXPECT_EQ(Value(frames[0], "accept-version"), "1.1,1.2");
  EXPECT_EQ(Value(frames[0], "host"), "broker1");
  EXPECT_EQ(Value(frames[0], "heart-beat"), "30000,15000");
  EXPECT_EQ(Value(frames[0], "login"), "(none)");
  EXPECT_EQ(Value(frames[0], "passcode"), "(none)");
}

TEST_F(SessionTest, ConnectCarriesLoginPasscodeAndClientId) {
  Session::Options options;
  options.login = "mcollective";
  options.passcode = "se:cr\\et";
  options.client_id = "n1";
  Begin(options);
  const std::vector<std::string> batch = session_->TakeBatch(clock_.Read());
  ASSERT_EQ(batch.size(), 1u);
  EXPECT_TRUE(absl::StrContains(batch[0], "\nlogin:mcollective\n"));
  EXPECT_TRUE(absl::StrContains(batch[0], "\npasscode:se:cr\\et\n")) << "CONNECT has no escapes";
  EXPECT_TRUE(absl::StrContains(batch[0], "\nclient-id:n1\n"));
}

TEST_F(SessionTest, IsReadyWhenEverySubscriptionIsConfirmed) {
  session_->Subscribe(1, "/topic/a");
  session_->Subscribe(2, "/queue/b");
  TakeFrames();
  EXPECT_TRUE(FeedConnected().empty());
  const std::vector<Frame> frames = TakeFrames();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].command, "SUBSCRIBE");
  EXPECT_EQ(Value(frames[0], "id"), "1");
  EXPECT_EQ(Value(frames[0], "destination"), "/topic/a");
  EXPECT_EQ(Value(frames[0], "ack"), "auto");
  EXPECT_EQ(Value(frames[1], "destination"), "/queue/b");
  EXPECT_TRUE(FeedReceipt(Value(frames[1], "receipt")).empty());
  const std::vector<Session::Event> events = FeedReceipt(Value(frames[0], "receipt"));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, Kind::kReady);
}

TEST_F(SessionTest, ALaterSubscriptionGoesOutAtOnceAndIsNoSecondReady) {
  MakeReady();
  session_->Subscribe(1, "/topic/late");
  const std::vector<Frame> frames = TakeFrames();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_TRUE(FeedReceipt(Value(frames[0], "receipt")).empty());
  const auto events = Feed({"MESSAGE", {{"subscription", "1"}}, "x"});
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].id, 1u);
}

TEST_F(SessionTest, ASubscriptionWhileOthersAreConfirmedIsWaitedForToo) {
  session_->Subscribe(1, "/topic/a");
  TakeFrames();
  FeedConnected();
  session_->Subscribe(2, "/topic/b");
  const std::vector<Frame> frames = TakeFrames();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_TRUE(FeedReceipt(Value(frames[0], "receipt")).empty());
  EXPECT_EQ(FeedReceipt(Value(frames[1], "receipt")).size(), 1u);
}

TEST_F(SessionTest, ActiveMqGetsItsPrefetch) {
  Session::Options options;
  options.flavour = FLAVOUR_ACTIVEMQ;
  Begin(options);
  session_->Subscribe(1, "/topic/a");
  TakeFrames();
  FeedConnected();
  const std::vector<Frame> frames = TakeFrames();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(Value(frames[0], "activemq.prefetchSize"), "100");
}

TEST_F(SessionTest, SendsWithAndWithoutReceipt) {
  MakeReady();
  const absl::Time expires = clock_.Read().wall + absl::Seconds(60);
  EXPECT_EQ(*session_->Send("/topic/a", "one", expires, false, clock_.Read()), 0u);
  const uint64_t id = *session_->Send("/topic/a", "two", expires, true, clock_.Read());
  EXPECT_GT(id, 0u);
  const std::vector<Frame> frames = TakeFrames();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].command, "SEND");
  EXPECT_EQ(frames[0].body, "one");
  EXPECT_EQ(Value(frames[0], "destination"), "/topic/a");
  EXPECT_EQ(Value(frames[0], "expiration"), "60000");
  EXPECT_EQ(Value(frames[0], "receipt"), "(none)");
  EXPECT_EQ(Value(frames[1], "receipt"), absl::StrCat(id));
  const auto events = FeedReceipt(absl::StrCat(id));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, Kind::kReceipt);
  EXPECT_EQ(events[0].id, id);
  // A second receipt is nobody's.
  EXPECT_TRUE(FeedReceipt(absl::StrCat(id)).empty());
  EXPECT_EQ(session_->counts().stray_receipts, 1u);
}

TEST_F(SessionTest, SendsNothingBeforeConnected) {
  TakeFrames();
  EXPECT_EQ(
      session_->Send("/topic/a", "x", absl::InfiniteFuture(), true, clock_.Read()).status().code(),
      absl::StatusCode::kUnavailable);
}

TEST_F(SessionTest, TheSendQueueIsBoundedInBytes) {
  Session::Options options;
  options.send_queue_bytes = 1000;
  Begin(options);
  MakeReady();
  const std::string body(600, 'x');
  ASSERT_TRUE(session_->Send("/a", body, absl::InfiniteFuture(), false, clock_.Read()).ok());
  EXPECT_EQ(session_->Send("/a", body, absl::InfiniteFuture(), true, clock_.Read()).status().code(),
            absl::StatusCode::kResourceExhausted);
  // What is under way counts until the kernel has it.
  ASSERT_FALSE(session_->TakeBatch(clock_.Read()).empty());
  EXPECT_FALSE(session_->Send("/a", body, absl::InfiniteFuture(), false, clock_.Read()).ok());
  session_->OnWritten(clock_.Read());
  EXPECT_TRUE(session_->Send("/a", body, absl::InfiniteFuture(), false, clock_.Read()).ok());
}

TEST_F(SessionTest, PendingReceiptsAreBounded) {
  MakeReady();
  for (size_t i = 0; i < Session::kPendingReceiptsMax; ++i) {
    ASSERT_TRUE(session_->Send("/a", "x", absl::InfiniteFuture(), true, clock_.Read()).ok());
  }
  EXPECT_EQ(session_->Send("/a", "x", absl::InfiniteFuture(), true, clock_.Read()).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(session_->Send("/a", "x", absl::InfiniteFuture(), false, clock_.Read()).ok());
}

TEST_F(SessionTest, BatchesTakeWhatWaitsUpToTheirLimitsOneAtATime) {
  MakeReady();
  for (size_t i = 0; i < Session::kBatchFramesMax + 1; ++i) {
    ASSERT_TRUE(session_->Send("/a", "x", absl::InfiniteFuture(), false, clock_.Read()).ok());
  }
  EXPECT_EQ(session_->TakeBatch(clock_.Read()).size(), Session::kBatchFramesMax);
  EXPECT_TRUE(session_->has_output() == false && session_->TakeBatch(clock_.Read()).empty());
  session_->OnWritten(clock_.Read());
  EXPECT_EQ(session_->TakeBatch(clock_.Read()).size(), 1u);
  session_->OnWritten(clock_.Read());

  const std::string large(Session::kBatchBytesMax / 2, 'x');
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(session_->Send("/a", large, absl::InfiniteFuture(), false, clock_.Read()).ok());
  }
  EXPECT_EQ(session_->TakeBatch(clock_.Read()).size(), 1u) << "two are over kBatchBytesMax";
}

TEST_F(SessionTest, DisconnectComesBehindWhatWaitsAndEndsWithItsReceipt) {
  MakeReady();
  const uint64_t id = *session_->Send("/a", "last", absl::InfiniteFuture(), true, clock_.Read());
  EXPECT_TRUE(session_->Disconnect());
  EXPECT_FALSE(session_->Send("/a", "x", absl::InfiniteFuture(), false, clock_.Read()).ok());
  const std::vector<Frame> frames = TakeFrames();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[1].command, "DISCONNECT");
  EXPECT_EQ(FeedReceipt(absl::StrCat(id))[0].kind, Kind::kReceipt);
  ExpectEnded(FeedReceipt(Value(frames[1], "receipt")), absl::StatusCode::kOk, "");
}

TEST_F(SessionTest, ThereIsNothingToDisconnectFromBeforeConnected) {
  EXPECT_FALSE(session_->Disconnect());
}

TEST_F(SessionTest, CountsWhatItMoves) {
  MakeReady();
  session_->Send("/a", "x", absl::InfiniteFuture(), false, clock_.Read()).value();
  TakeFrames();
  EXPECT_EQ(session_->counts().frames_in, 1u);
  EXPECT_EQ(session_->counts().frames_out, 2u);
  EXPECT_GT(session_->counts().bytes_in, 20u);
  EXPECT_GT(session_->counts().bytes_out, 100u);
}

TEST_F(SessionTest, Version11IsSpokenWithItsEscapes) {
  TakeFrames();
  ASSERT_EQ(FeedConnected("0,0", "1.1").size(), 1u);
  session_->Send("/topic/a:b", "x", absl::InfiniteFuture(), false, clock_.Read()).value();
  const std::vector<std::string> batch = session_->TakeBatch(clock_.Read());
  ASSERT_EQ(batch.size(), 1u);
  EXPECT_TRUE(absl::StrContains(batch[0], "destination:/topic/a\\cb\n"));
}

}  // namespace
}  // namespace orch::bus
