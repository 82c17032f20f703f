// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/clock.h"
#include "bus/client/session.h"

namespace orch::bus {

using Kind = Session::Event::Kind;

// The value of a header, or `(none)`.
inline std::string Value(const Frame& frame, const char* name) {
  const std::string* value = frame.Find(name);
  return value != nullptr ? *value : "(none)";
}

// Fixture with one session; the test says what the broker sends, and the clock stands still.
class SessionTest : public ::testing::Test {
 protected:
  SessionTest() { Begin({}); }

  void Begin(Session::Options options) {
    options.virtual_host = "broker1";
    session_.emplace(options, clock_.Read());
    wire_ = Decoder();
  }

  // All that waits to be written, as the frames that the broker would read. It counts as written.
  std::vector<Frame> TakeFrames() {
    std::vector<Frame> frames;
    for (;;) {
      const std::vector<std::string> batch = session_->TakeBatch(clock_.Read());
      if (batch.empty()) return frames;
      for (const std::string& bytes : batch) {
        EXPECT_TRUE(wire_.Feed(bytes, &frames).ok());
      }
      session_->OnWritten(clock_.Read());
    }
  }

  std::vector<Session::Event> Feed(const Frame& frame) {
    return session_->OnBytes(Encode(frame), clock_.Read());
  }
  std::vector<Session::Event> FeedConnected(const std::string& heart_beat = "0,0",
                                            const std::string& version = "1.2") {
    return Feed({"CONNECTED", {{"version", version}, {"heart-beat", heart_beat}}, ""});
  }
  std::vector<Session::Event> FeedReceipt(const std::string& id) {
    return Feed({"RECEIPT", {{"receipt-id", id}}, ""});
  }

  // Connected, without subscriptions or heart-beats.
  void MakeReady() {
    TakeFrames();
    const std::vector<Session::Event> events = FeedConnected();
    ASSERT_EQ(events.size(), 1u);
    ASSERT_EQ(events[0].kind, Kind::kReady);
  }

  void ExpectEnded(const std::vector<Session::Event>& events, absl::StatusCode code,
                   const std::string& why) {
    ASSERT_FALSE(events.empty());
    ASSERT_EQ(events.back().kind, Kind::kEnded);
    EXPECT_EQ(events.back().status.code(), code) << events.back().status;
    EXPECT_TRUE(absl::StrContains(events.back().status.message(), why)) << events.back().status;
    // Nothing comes later.
    EXPECT_TRUE(FeedConnected().empty());
    EXPECT_FALSE(session_->OnTime(clock_.Read()).has_value());
    EXPECT_TRUE(session_->TakeBatch(clock_.Read()).empty());
    EXPECT_EQ(session_->next_deadline(), absl::InfiniteDuration());
    EXPECT_FALSE(session_->connected());
  }

  base::FakeClock clock_;
  std::optional<Session> session_;
  Decoder wire_;
};

}  // namespace orch::bus
