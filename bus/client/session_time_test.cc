// SPDX-License-Identifier: Apache-2.0
// Heart-beats and deadlines: a session lives hours here in no time.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "bus/client/session.h"
#include "bus/client/session_fixture.h"

namespace orch::bus {
namespace {

class SessionTimeTest : public SessionTest {
 protected:
  // Moves to the next deadline; what OnTime says.
  std::optional<Session::Event> Pass() {
    const absl::Duration deadline = session_->next_deadline();
    EXPECT_NE(deadline, absl::InfiniteDuration());
    clock_.Advance(deadline - clock_.Read().steady);
    return session_->OnTime(clock_.Read());
  }
  absl::Duration Until() { return session_->next_deadline() - clock_.Read().steady; }
  std::vector<Session::Event> AsVector(std::optional<Session::Event> event) {
    return event.has_value() ? std::vector<Session::Event>{*event} : std::vector<Session::Event>{};
  }
};

TEST_F(SessionTimeTest, ConnectedMustComeInTime) {
  TakeFrames();
  EXPECT_EQ(Until(), Session::kConnectMax);
  clock_.Advance(Session::kConnectMax - absl::Milliseconds(1));
  EXPECT_FALSE(session_->OnTime(clock_.Read()).has_value());
  ExpectEnded(AsVector(Pass()), absl::StatusCode::kUnavailable, "no CONNECTED within 10s");
}

TEST_F(SessionTimeTest, WithoutAgreedHeartBeatsThereIsNothingToWaitFor) {
  MakeReady();
  EXPECT_EQ(session_->next_deadline(), absl::InfiniteDuration());
  clock_.Advance(absl::Hours(1000));
  EXPECT_FALSE(session_->OnTime(clock_.Read()).has_value());
  EXPECT_FALSE(session_->has_output());
}

TEST_F(SessionTimeTest, AnIdleClientBeatsWithinItsInterval) {
  TakeFrames();
  FeedConnected("0,10000");  // the broker wants 10 s, we can 30 s
  EXPECT_EQ(Until(), absl::Seconds(30) * 0.75);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(Pass().has_value());
    EXPECT_EQ(session_->TakeBatch(clock_.Read()), std::vector<std::string>{"\n"});
    session_->OnWritten(clock_.Read());
    EXPECT_EQ(Until(), absl::Seconds(30) * 0.75);
  }
  EXPECT_EQ(session_->counts().frames_out, 1u) << "heart-beats are no frames";
}

TEST_F(SessionTimeTest, TheLargerIntervalCounts) {
  TakeFrames();
  FeedConnected("0,40000");
  EXPECT_EQ(Until(), absl::Seconds(40) * 0.75);
}

TEST_F(SessionTimeTest, ABusyClientSendsNoHeartBeat) {
  TakeFrames();
  FeedConnected("0,30000");
  clock_.Advance(absl::Seconds(20));
  session_->Send("/a", "x", absl::InfiniteFuture(), false, clock_.Read()).value();
  TakeFrames();
  clock_.Advance(absl::Seconds(20));
  EXPECT_FALSE(session_->OnTime(clock_.Read()).has_value());
  EXPECT_FALSE(session_->has_output());
  // What waits is sign of life enough.
  session_->Send("/a", "x", absl::InfiniteFuture(), false, clock_.Read()).value();
  clock_.Advance(absl::Seconds(20));
  EXPECT_FALSE(session_->OnTime(clock_.Read()).has_value());
  EXPECT_EQ(TakeFrames().size(), 1u);
}

// The broker is asked for a beat every 15 s, half our interval.
TEST_F(SessionTimeTest, ThreeBeatsMissedAreTheEnd) {
  TakeFrames();
  FeedConnected("10000,0");
  EXPECT_EQ(Until(), absl::Seconds(45));
  clock_.Advance(absl::Seconds(40));
  EXPECT_TRUE(session_->OnBytes("\n", clock_.Read()).empty());
  EXPECT_EQ(Until(), absl::Seconds(45));
  clock_.Advance(absl::Seconds(44));
  EXPECT_FALSE(session_->OnTime(clock_.Read()).has_value());
  ExpectEnded(AsVector(Pass()), absl::StatusCode::kUnavailable, "nothing heard for 45s");
}

TEST_F(SessionTimeTest, ABrokerThatPromisesLessIsGivenTwoOfItsOwn) {
  TakeFrames();
  FeedConnected("40000,0");
  EXPECT_EQ(Until(), absl::Seconds(80));
  Begin({});
  TakeFrames();
  // A promise rarer than one an hour is none: deafness is noticed by the beacons.
  FeedConnected("3600001,0");
  EXPECT_EQ(session_->next_deadline(), absl::InfiniteDuration());
}

TEST_F(SessionTimeTest, PartOfAFrameIsASignOfLife) {
  TakeFrames();
  FeedConnected("10000,0");
  clock_.Advance(absl::Seconds(44));
  EXPECT_TRUE(session_->OnBytes("MESS", clock_.Read()).empty());
  EXPECT_EQ(Until(), absl::Seconds(45));
}

TEST_F(SessionTimeTest, AFrameMustComeToAnEnd) {
  session_->Subscribe(1, "/topic/a");
  TakeFrames();
  FeedConnected("10000,0");
  FeedReceipt(Value(TakeFrames()[0], "receipt"));
  // One byte a second, for as long as it likes: no heart-beat fits in between.
  session_->OnBytes("MESSAGE\nsubscription:1\n\n", clock_.Read());
  const absl::Duration begun = clock_.Read().steady;
  std::vector<Session::Event> events;
  while (events.empty() && clock_.Read().steady < begun + absl::Hours(1)) {
    clock_.Advance(absl::Seconds(1));
    ASSERT_TRUE(session_->OnBytes("x", clock_.Read()).empty());
    events = AsVector(session_->OnTime(clock_.Read()));
  }
  EXPECT_EQ(clock_.Read().steady - begun, Session::kFrameMax);
  ExpectEnded(events, absl::StatusCode::kUnavailable, "a frame without end for 2m");
  EXPECT_EQ(events[0].fault, Fault::kLate);
}

TEST_F(SessionTimeTest, FramesThatEndMayFollowEachOtherForever) {
  session_->Subscribe(1, "/topic/a");
  TakeFrames();
  FeedConnected("10000,0");
  FeedReceipt(Value(TakeFrames()[0], "receipt"));
  const std::string frame = Encode({"MESSAGE", {{"subscription", "1"}}, "x"});
  // Each read ends in the middle of a frame.
  std::string bytes = frame.substr(0, 4);
  for (int i = 0; i < 1000; ++i) {
    bytes += frame.substr(4) + frame.substr(0, 4);
    ASSERT_EQ(session_->OnBytes(bytes, clock_.Read()).size(), 1u);
    bytes.clear();
    clock_.Advance(absl::Seconds(10));
    ASSERT_FALSE(session_->OnTime(clock_.Read()).has_value());
  }
}

TEST_F(SessionTimeTest, AReceiptMustComeInTimeFromItsWriting) {
  MakeReady();
  session_->Send("/a", "x", absl::InfiniteFuture(), true, clock_.Read()).value();
  EXPECT_EQ(session_->next_deadline(), absl::InfiniteDuration()) << "not written yet";
  clock_.Advance(absl::Minutes(5));
  TakeFrames();
  EXPECT_EQ(Until(), Session::kReceiptMax);
  ExpectEnded(AsVector(Pass()), absl::StatusCode::kUnavailable, "no RECEIPT within 30s");
}

TEST_F(SessionTimeTest, TheOldestReceiptIsTheNextDeadline) {
  MakeReady();
  const uint64_t first = *session_->Send("/a", "x", absl::InfiniteFuture(), true, clock_.Read());
  TakeFrames();
  clock_.Advance(absl::Seconds(10));
  session_->Send("/a", "y", absl::InfiniteFuture(), true, clock_.Read()).value();
  TakeFrames();
  EXPECT_EQ(Until(), absl::Seconds(20));
  FeedReceipt(absl::StrCat(first));
  EXPECT_EQ(Until(), absl::Seconds(30));
}

TEST_F(SessionTimeTest, ASubscriptionThatIsNeverConfirmedIsTheEnd) {
  session_->Subscribe(1, "/topic/a");
  TakeFrames();
  FeedConnected();
  TakeFrames();
  ExpectEnded(AsVector(Pass()), absl::StatusCode::kUnavailable, "no RECEIPT");
}

TEST_F(SessionTimeTest, ABrokerThatDoesNotReadIsTheEnd) {
  MakeReady();
  session_->Send("/a", "x", absl::InfiniteFuture(), false, clock_.Read()).value();
  ASSERT_FALSE(session_->TakeBatch(clock_.Read()).empty());
  EXPECT_EQ(Until(), Session::kWriteMax);
  ExpectEnded(AsVector(Pass()), absl::StatusCode::kUnavailable, "reads nothing for 30s");
}

TEST_F(SessionTimeTest, StepsOfTheWallClockChangeNothing) {
  TakeFrames();
  FeedConnected("30000,30000");
  clock_.StepWall(absl::Hours(-48));
  EXPECT_EQ(Until(), absl::Seconds(30) * 0.75);
  clock_.StepWall(absl::Hours(480));
  EXPECT_FALSE(session_->OnTime(clock_.Read()).has_value());
}

TEST_F(SessionTimeTest, AnIdleDayWakesNoMoreOftenThanTheHeartBeats) {
  TakeFrames();
  FeedConnected("30000,30000");
  const absl::Duration end = clock_.Read().steady + absl::Hours(24);
  int wakes = 0;
  while (clock_.Read().steady < end) {
    ASSERT_FALSE(Pass().has_value());
    TakeFrames();
    session_->OnBytes("\n", clock_.Read());
    ++wakes;
  }
  EXPECT_LE(wakes, 24 * 3600 / 22);
}

}  // namespace
}  // namespace orch::bus
