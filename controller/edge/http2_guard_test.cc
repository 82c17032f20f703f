// SPDX-License-Identifier: Apache-2.0
#include "controller/edge/http2_guard.h"

#include <gtest/gtest.h>

#include <string>

namespace orch::controller {
namespace {

constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr uint8_t kData = 0, kHeaders = 1, kPriority = 2, kReset = 3, kSettings = 4, kPush = 5,
                  kPing = 6, kUpdate = 8, kContinuation = 9;
constexpr uint8_t kEnd = 1, kAck = 1, kEndHeaders = 4;

std::string Number(uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
  return out;
}

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload = "") {
  std::string out = Number(static_cast<uint32_t>(payload.size())).substr(1);
  out.push_back(static_cast<char>(type));
  out.push_back(static_cast<char>(flags));
  return out + Number(stream) + payload;
}

// What passes on a new connection of a caller that has spent nothing.
int BurstOf(Http2Cost cost) {
  return static_cast<int>(RateOf(cost).burst) + Http2Guard::kFreeOfConnection;
}

class Http2GuardTest : public ::testing::Test {
 protected:
  // False: a fault, which why_ and code_ then tell.
  bool Client(const std::string& bytes) { return Told(guard_.OnClientBytes(bytes, now_, &share_)); }
  bool Server(const std::string& bytes) { return Told(guard_.OnServerBytes(bytes, now_, &share_)); }
  bool Told(std::optional<Http2Fault> fault) {
    if (!fault.has_value()) return true;
    fault_ = *fault;
    why_ = fault->why;
    return false;
  }
  void Open() {
    ASSERT_TRUE(Client(kPreface + Frame(kSettings, 0, 0)));
    ASSERT_TRUE(Server(Frame(kSettings, 0, 0) + Frame(kSettings, kAck, 0)));
    ASSERT_TRUE(Client(Frame(kSettings, kAck, 0)));
  }
  // How many of the frames that `frame(i)` makes are let through, of at most `most`.
  template <typename Make>
  int Passing(int most, Make frame) {
    for (int i = 0; i < most; ++i) {
      if (!Client(frame(i))) return i;
    }
    return most;
  }
  static uint32_t Odd(int i) { return static_cast<uint32_t>(2 * i + 1); }

  absl::Duration now_ = absl::Seconds(1000);
  Http2Share share_;
  Http2Guard guard_{now_};
  Http2Fault fault_{};
  std::string why_;
};

TEST_F(Http2GuardTest, OpensWithPrefaceAndSettings) {
  const std::string opening = kPreface + Frame(kSettings, 0, 0, std::string("\0\3\0\0\0\x64", 6));
  for (size_t i = 0; i < opening.size(); ++i) {
    EXPECT_FALSE(guard_.opened()) << i;
    ASSERT_TRUE(Client(opening.substr(i, 1))) << i;
  }
  EXPECT_TRUE(guard_.opened());
}

TEST_F(Http2GuardTest, WhatIsNoHttp2EndsAtOnce) {
  EXPECT_FALSE(Client("GET / HTTP/1.1\r\n"));
  EXPECT_EQ(fault_.code, Http2Code::kProtocolError);
}

TEST_F(Http2GuardTest, TheFirstFrameIsSettings) {
  EXPECT_FALSE(Client(kPreface + Frame(kPing, 0, 0, std::string(8, 'x'))));
  EXPECT_EQ(why_, "the first frame is not SETTINGS");
}

TEST_F(Http2GuardTest, ThePrefaceHasItsDeadline) {
  ASSERT_TRUE(Client("PRI * HTTP/2.0\r\n"));
  EXPECT_EQ(guard_.NextDeadline(), now_ + Http2Guard::kPrefaceTimeMax);
  EXPECT_FALSE(guard_.OnTime(now_ + absl::Seconds(4.9)).has_value());
  EXPECT_TRUE(guard_.OnTime(now_ + Http2Guard::kPrefaceTimeMax).has_value());
}

TEST_F(Http2GuardTest, SettingsAreAcknowledgedInTimeOrTheConnectionEnds) {
  ASSERT_TRUE(Client(kPreface + Frame(kSettings, 0, 0)));
  EXPECT_EQ(guard_.NextDeadline(), absl::InfiniteDuration());
  ASSERT_TRUE(Server(Frame(kSettings, 0, 0)));
  EXPECT_EQ(guard_.NextDeadline(), now_ + Http2Guard::kSettingsTimeMax);
  const auto fault = guard_.OnTime(guard_.NextDeadline());
  ASSERT_TRUE(fault.has_value());
  EXPECT_EQ(fault->code, Http2Code::kSettingsTimeout);
  ASSERT_TRUE(Client(Frame(kSettings, kAck, 0)));
  EXPECT_EQ(guard_.NextDeadline(), absl::InfiniteDuration());
}

TEST_F(Http2GuardTest, CountsCallsFromBothSides) {
  Open();
  ASSERT_TRUE(Client(Frame(kHeaders, kEndHeaders, 1, "h") + Frame(kData, kEnd, 1, "d")));
  EXPECT_EQ(guard_.open_streams(), 1u);
  ASSERT_TRUE(Server(Frame(kHeaders, kEndHeaders, 1, "h") + Frame(kData, 0, 1, "d")));
  EXPECT_EQ(guard_.open_streams(), 1u);
  ASSERT_TRUE(Server(Frame(kHeaders, kEndHeaders | kEnd, 1, "t")));
  EXPECT_EQ(guard_.open_streams(), 0u);
  ASSERT_TRUE(Client(Frame(kHeaders, kEndHeaders, 3, "h") + Frame(kReset, 0, 3, Number(8))));
  EXPECT_EQ(guard_.open_streams(), 0u);
  ASSERT_TRUE(Client(Frame(kHeaders, kEndHeaders, 5, "h")));
  ASSERT_TRUE(Server(Frame(kHeaders, kEndHeaders | kEnd, 5, "t") + Frame(kReset, 0, 5, Number(0))));
  EXPECT_EQ(guard_.open_streams(), 0u);
  EXPECT_EQ(share_.open_streams(), 0u);
}

TEST_F(Http2GuardTest, BoundsCallsAtOnceWithoutWaitingForAnAcknowledgement) {
  ASSERT_TRUE(Client(kPreface + Frame(kSettings, 0, 0)));
  EXPECT_EQ(Passing(100000, [](int i) { return Frame(kHeaders, kEndHeaders, Odd(i), "h"); }),
            static_cast<int>(Http2Guard::kOpenStreamsMax));
  EXPECT_EQ(fault_.code, Http2Code::kEnhanceYourCalm);
  guard_.Leave(now_, &share_);
  EXPECT_EQ(share_.open_streams(), 0u);
}

TEST_F(Http2GuardTest, BoundsCallsOfOneCallerOverItsConnections) {
  size_t passed = 0;
  std::string why;
  for (int connection = 0; connection < 10 && why.empty(); ++connection) {
    Http2Guard guard(now_);
    ASSERT_FALSE(guard.OnClientBytes(kPreface + Frame(kSettings, 0, 0), now_, &share_).has_value());
    for (int i = 0; i < 500 && why.empty(); ++i) {
      const auto fault =
          guard.OnClientBytes(Frame(kHeaders, kEndHeaders, Odd(i), "h"), now_, &share_);
      if (fault.has_value()) why = fault->why;
      if (!fault.has_value()) ++passed;
    }
  }
  EXPECT_EQ(why, "too many calls at once over all connections");
  EXPECT_EQ(passed, Http2Share::kOpenStreamsMax);
}

TEST_F(Http2GuardTest, RapidResetIsCounted) {
  Open();
  EXPECT_EQ(Passing(100000,
                    [](int i) {
                      return Frame(kHeaders, kEndHeaders | kEnd, Odd(i), "h") +
                             Frame(kReset, 0, Odd(i), Number(8));
                    }),
            BurstOf(Http2Cost::kResets));
  EXPECT_EQ(why_, "too many calls were given up");
}

TEST_F(Http2GuardTest, BudgetsComeBackWithTime) {
  Open();
  const auto reset = [](int i) { return Frame(kReset, 0, Odd(i), Number(8)); };
  EXPECT_EQ(Passing(100000, reset), 1008);
  now_ += absl::Seconds(1);
  // The caller's next connection.
  Http2Guard next(now_);
  ASSERT_FALSE(next.OnClientBytes(kPreface + Frame(kSettings, 0, 0), now_, &share_).has_value());
  int passed = 0;
  while (passed < 100000 && !next.OnClientBytes(reset(passed), now_, &share_).has_value()) ++passed;
  EXPECT_EQ(passed, 208);
}

TEST_F(Http2GuardTest, WhoConnectsOftenIsNotTakenForAFlood) {
  for (int i = 0; i < 10'000; ++i) {
    Http2Guard guard(now_);
    ASSERT_FALSE(guard.OnClientBytes(kPreface + Frame(kSettings, 0, 0), now_, &share_).has_value());
    ASSERT_FALSE(guard.OnServerBytes(Frame(kSettings, 0, 0), now_, &share_).has_value());
    const std::string call = Frame(kSettings, kAck, 0) + Frame(kPriority, 0, 1, "12345") +
                             Frame(kHeaders, kEndHeaders | kEnd, 1, "h") +
                             Frame(7, 0, 0, std::string(8, 'x'));
    ASSERT_FALSE(guard.OnClientBytes(call, now_, &share_).has_value()) << i;
    const std::string answer = Frame(kHeaders, kEndHeaders | kEnd, 1, "h");
    ASSERT_FALSE(guard.OnServerBytes(answer, now_, &share_).has_value()) << i;
    guard.Leave(now_, &share_);
  }
}

TEST_F(Http2GuardTest, CallsThatAConnectionLeavesBehindCountAsReset) {
  int opened = 0;
  std::string why;
  for (int connection = 0; connection < 100 && why != "too many calls were given up";
       ++connection) {
    Http2Guard guard(now_);
    ASSERT_FALSE(guard.OnClientBytes(kPreface + Frame(kSettings, 0, 0), now_, &share_).has_value());
    for (int i = 0;; ++i) {
      const auto fault =
          guard.OnClientBytes(Frame(kHeaders, kEndHeaders, Odd(i), "h"), now_, &share_);
      if (fault.has_value()) why = fault->why;
      if (fault.has_value()) break;
      ++opened;
    }
    guard.Leave(now_, &share_);
  }
  EXPECT_EQ(why, "too many calls were given up");
  EXPECT_EQ(opened, 2 * static_cast<int>(Http2Guard::kOpenStreamsMax));
  EXPECT_FALSE(share_.HasLeft(Http2Cost::kResets, now_));
  EXPECT_TRUE(share_.HasLeft(Http2Cost::kResets, now_ + absl::Seconds(1)));
}

TEST_F(Http2GuardTest, ResetsThatTheClientProvokesCountAsItsOwn) {
  Open();
  int passed = 0;
  for (; passed < 100000; ++passed) {
    if (!Server(Frame(kReset, 0, Odd(passed), Number(1)))) break;
  }
  EXPECT_EQ(passed, BurstOf(Http2Cost::kResets));
  EXPECT_TRUE(Server(Frame(kReset, 0, 1, Number(0)))) << "of gRPC's own, after an early answer";
}

TEST_F(Http2GuardTest, AHeaderBlockIsBounded) {
  Open();
  ASSERT_TRUE(Client(Frame(kHeaders, kEnd, 1, std::string(16384, 'h'))));
  EXPECT_TRUE(Client(Frame(kContinuation, 0, 1, std::string(16384, 'h'))));
  EXPECT_FALSE(Client(Frame(kContinuation, 0, 1, "h")));
  EXPECT_EQ(why_, "too many bytes of headers");
}

TEST_F(Http2GuardTest, EmptyContinuationsAreBounded) {
  Open();
  ASSERT_TRUE(Client(Frame(kHeaders, kEnd, 1, "h")));
  EXPECT_EQ(Passing(1000, [](int) { return Frame(kContinuation, 0, 1); }),
            Http2Guard::kContinuationsMax);
}

TEST_F(Http2GuardTest, NothingComesBetweenAHeaderBlocksFrames) {
  Open();
  ASSERT_TRUE(Client(Frame(kHeaders, 0, 1, "h")));
  EXPECT_FALSE(Client(Frame(kData, 0, 1, "d")));
  EXPECT_EQ(fault_.code, Http2Code::kProtocolError);
}

TEST_F(Http2GuardTest, AnEndedHeaderBlockLetsOthersIn) {
  Open();
  EXPECT_TRUE(Client(Frame(kHeaders, 0, 1, "h") + Frame(kContinuation, kEndHeaders, 1, "h") +
                     Frame(kData, kEnd, 1, "d")));
  EXPECT_FALSE(Client(Frame(kContinuation, kEndHeaders, 1, "h")));
}

TEST_F(Http2GuardTest, FloodsAreCountedByKind) {
  const std::pair<Http2Cost, std::string> floods[] = {
      {Http2Cost::kSettings, Frame(kSettings, kAck, 0)},
      {Http2Cost::kPings, Frame(kPing, kAck, 0, std::string(8, 'x'))},
      {Http2Cost::kEmptyData, Frame(kData, 0, 1)},
      {Http2Cost::kSmallData, Frame(kData, 0, 1, "d")},
      {Http2Cost::kPriorities, Frame(kPriority, 0, 1, std::string(5, 'x'))},
      {Http2Cost::kUpdates, Frame(kUpdate, 0, 0, Number(65535))},
      {Http2Cost::kSmallUpdates, Frame(kUpdate, 0, 1, Number(1))},
      {Http2Cost::kOthers, Frame(0xb, 0, 0, "x")},
  };
  for (const auto& [cost, frame] : floods) {
    Http2Share share;
    Http2Guard guard(now_);
    ASSERT_FALSE(guard.OnClientBytes(kPreface + Frame(kSettings, 0, 0), now_, &share).has_value());
    // One SETTINGS is spent already.
    int passed = cost == Http2Cost::kSettings ? 1 : 0;
    std::optional<Http2Fault> fault;
    while (passed < 100000 && !fault.has_value()) {
      fault = guard.OnClientBytes(frame, now_, &share);
      if (!fault.has_value()) ++passed;
    }
    EXPECT_EQ(passed, BurstOf(cost)) << static_cast<int>(cost);
    ASSERT_TRUE(fault.has_value());
    EXPECT_EQ(fault->code, Http2Code::kEnhanceYourCalm);
  }
}

TEST_F(Http2GuardTest, WhatGrpcHasNotAnsweredIsBounded) {
  Open();
  const std::string ping = Frame(kPing, 0, 0, std::string(8, 'x'));
  EXPECT_EQ(Passing(1000, [&](int) { return ping; }), Http2Guard::kUnansweredMax);
}

TEST_F(Http2GuardTest, PingsThatAreAnsweredGoOn) {
  Open();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(Client(Frame(kPing, 0, 0, std::string(8, 'x')))) << i;
    ASSERT_TRUE(Server(Frame(kPing, kAck, 0, std::string(8, 'x')))) << i;
  }
}

TEST_F(Http2GuardTest, FramesOfWrongLengthsEnd) {
  for (const std::string& frame :
       {Frame(kPing, 0, 0, "x"), Frame(kReset, 0, 1, "x"), Frame(kUpdate, 0, 1, "x"),
        Frame(kPriority, 0, 1, "x"), Frame(kSettings, 0, 0, "x"),
        Frame(kSettings, kAck, 0, "abcdef"), Frame(kSettings, 0, 0, std::string(198, 'x')),
        Frame(0xb, 0, 0, std::string(5000, 'x'))}) {
    Http2Guard guard(now_);
    ASSERT_FALSE(guard.OnClientBytes(kPreface + Frame(kSettings, 0, 0), now_, &share_).has_value());
    const auto fault = guard.OnClientBytes(frame, now_, &share_);
    ASSERT_TRUE(fault.has_value());
    EXPECT_EQ(fault->code, Http2Code::kFrameSizeError);
  }
}

TEST_F(Http2GuardTest, SettingsOutOfTheirRangesEnd) {
  for (const std::string& setting :
       {std::string("\0\2\0\0\0\2", 6), std::string("\0\4\x80\0\0\0", 6),
        std::string("\0\5\0\0\0\1", 6), std::string("\0\5\1\0\0\0", 6)}) {
    Http2Guard guard(now_);
    EXPECT_TRUE(
        guard.OnClientBytes(kPreface + Frame(kSettings, 0, 0, setting), now_, &share_).has_value());
  }
}

TEST_F(Http2GuardTest, ClientsNeitherPushNorOpenEvenStreams) {
  Open();
  for (const std::string& frame : {Frame(kPush, 0, 1, "abcd"), Frame(kHeaders, kEndHeaders, 2, "h"),
                                   Frame(kHeaders, kEndHeaders, 0, "h")}) {
    Http2Guard guard(now_);
    const auto fault =
        guard.OnClientBytes(kPreface + Frame(kSettings, 0, 0) + frame, now_, &share_);
    ASSERT_TRUE(fault.has_value());
    EXPECT_EQ(fault->code, Http2Code::kProtocolError);
  }
}

TEST_F(Http2GuardTest, GoAwayStandsBetweenFramesOnly) {
  Open();
  ASSERT_TRUE(Client(Frame(kHeaders, kEndHeaders, 7, "h")));
  const Http2Fault fault{Http2Code::kEnhanceYourCalm, "why"};
  EXPECT_EQ(guard_.GoAway(fault), Frame(7, 0, 0, Number(7) + Number(11) + "why"));
  const std::string data = Frame(kData, 0, 7, "some data");
  ASSERT_TRUE(Server(data.substr(0, 12)));
  EXPECT_EQ(guard_.GoAway(fault), "");
  ASSERT_TRUE(Server(data.substr(12)));
  EXPECT_NE(guard_.GoAway(fault), "");
}

// What Go's, Node's and gRPC's own clients do at their worst, for a minute.
TEST_F(Http2GuardTest, AnHonestFloodOfCallsGoesOn) {
  ASSERT_TRUE(Client(kPreface + Frame(kSettings, 0, 0) + Frame(kUpdate, 0, 0, Number(1 << 20))));
  for (int i = 0; i < 120'000; ++i) {
    if (i == 100) {
      ASSERT_TRUE(Server(Frame(kSettings, 0, 0)) && Client(Frame(kSettings, kAck, 0)));
    }
    const uint32_t id = Odd(i);
    ASSERT_TRUE(Client(Frame(kHeaders, kEndHeaders, id, "h") + Frame(kData, 0, id, "small") +
                       Frame(kData, kEnd, id)))
        << why_;
    if (i >= 100) {
      ASSERT_TRUE(Server(Frame(kHeaders, kEndHeaders, Odd(i - 100), "h") +
                         Frame(kHeaders, kEndHeaders | kEnd, Odd(i - 100), "t")))
          << why_;
      ASSERT_TRUE(Client(Frame(kPing, 0, 0, std::string(8, 'x')))) << why_;
      ASSERT_TRUE(Server(Frame(kPing, kAck, 0, std::string(8, 'x')))) << why_;
    }
    now_ += absl::Microseconds(500);
  }
  EXPECT_EQ(guard_.open_streams(), 100u);
}

}  // namespace
}  // namespace orch::controller
