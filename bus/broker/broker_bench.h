// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bus/routing/broker_core.h"
#include "bus/stomp/frame.h"

// Fixture for tests of BrokerCore: clients as the core sees them, without transports, and a clock
// that is moved by hand.

namespace orch::bus {

// One connection: what it says goes into the core, and what the core sends it is read back as
// frames.
class BenchClient : public BrokerLink {
 public:
  BenchClient(BrokerCore* core, base::FakeClock* clock, BrokerPeer peer)
      : core_(core), clock_(clock) {
    session_ = core->Open(std::move(peer), "10.0.0.7:4711", this, clock->Read());
  }
  ~BenchClient() override { Drop(); }
  BenchClient(const BenchClient&) = delete;
  BenchClient& operator=(const BenchClient&) = delete;

  void OnReady() override {}
  bool accepted() const { return session_ != nullptr; }
  BrokerSession* session() { return session_; }
  // The core has ended the session, and the transport would be closed once all is written.
  bool ended() const { return session_->state == BrokerSession::State::kEnded; }
  bool overdue() const { return session_->overdue; }
  // The transport breaks.
  void Drop() {
    if (session_ != nullptr) core_->Close(std::exchange(session_, nullptr), clock_->Read());
  }

  // `|` stands for the end of a line, `^` for NUL.
  void Say(absl::string_view text) {
    std::string bytes(text);
    for (char& c : bytes) c = c == '|' ? '\n' : c == '^' ? '\0' : c;
    SayBytes(bytes);
  }
  void SayBytes(absl::string_view bytes) { core_->OnBytes(session_, bytes, clock_->Read()); }
  void Connect(absl::string_view version = "1.2", absl::string_view beat = "0,0") {
    Say(absl::StrCat("CONNECT|accept-version:", version, "|host:h|heart-beat:", beat, "||^"));
    ASSERT_EQ(Next().command, "CONNECTED");
  }
  void Subscribe(absl::string_view destination, absl::string_view id = "s",
                 absl::string_view ack = "auto") {
    Say(absl::StrCat("SUBSCRIBE|destination:", destination, "|id:", id, "|ack:", ack, "||^"));
  }
  void Send(absl::string_view destination, absl::string_view body, absl::string_view headers = "") {
    Say(absl::StrCat("SEND|destination:", destination, "|", headers, "|", body, "^"));
  }

  // The transport takes up to `size` bytes of what waits.
  std::string Take(size_t size = 1 << 30) {
    std::string out;
    absl::string_view parts[64];
    while (out.size() < size && !session_->outbox.empty()) {
      const size_t count = session_->outbox.Gather(parts, 64);
      std::string now;
      for (size_t i = 0; i < count; ++i) absl::StrAppend(&now, parts[i]);
      now.resize(std::min(now.size(), size - out.size()));
      core_->OnWritten(session_, now.size(), clock_->Read());
      out += now;
    }
    return out;
  }
  // All frames that wait.
  std::vector<Frame> Frames() {
    std::vector<Frame> out;
    decoder_.set_version(session_->version);
    EXPECT_TRUE(decoder_.Feed(Take(), &out).ok());
    return out;
  }
  // The next frame; an empty one if none waits.
  Frame Next() {
    for (Frame& frame : Frames()) waiting_.push_back(std::move(frame));
    if (waiting_.empty()) return {};
    Frame out = std::move(waiting_.front());
    waiting_.pop_front();
    return out;
  }
  // The body of the next frame if that is a MESSAGE; otherwise a text that says what it is.
  std::string NextBody() {
    const Frame frame = Next();
    return frame.command == "MESSAGE" ? frame.body
                                      : absl::StrCat("(", frame.command, " ", frame.body, ")");
  }
  // The text of the ERROR that comes next and ends the session.
  std::string Error() {
    const Frame frame = Next();
    EXPECT_EQ(frame.command, "ERROR");
    EXPECT_TRUE(ended());
    const std::string* message = frame.Find("message");
    return message == nullptr ? "" : *message;
  }
  uint64_t heart_beats() const { return decoder_.heart_beats(); }

 private:
  BrokerCore* const core_;
  base::FakeClock* const clock_;
  BrokerSession* session_ = nullptr;
  Decoder decoder_;
  std::deque<Frame> waiting_;
};

// The core of a broker with the prefix `orch`, and clients of it.
class BrokerBench : public testing::Test {
 protected:
  BrokerBench() { Make({}); }
  void Make(BrokerBounds bounds) { core = std::make_unique<BrokerCore>(bounds, "orch"); }
  BenchClient Anyone() { return {core.get(), &clock, {BrokerPeer::Kind::kAnyone, ""}}; }
  BenchClient Node(std::string name) {
    return {core.get(), &clock, {BrokerPeer::Kind::kNode, std::move(name)}};
  }
  BenchClient Controller(std::string name) {
    return {core.get(), &clock, {BrokerPeer::Kind::kController, std::move(name)}};
  }
  // Lets time pass; the core's OnTime is called whenever it asked for it.
  void Pass(absl::Duration time) {
    const absl::Duration end = clock.Read().steady + time;
    while (core->NextCheck() <= end) {
      const absl::Duration step = core->NextCheck() - clock.Read().steady;
      clock.Advance(std::max(step, absl::Milliseconds(1)));
      core->OnTime(clock.Read());
    }
    clock.Advance(end - clock.Read().steady);
  }

  base::FakeClock clock;
  std::unique_ptr<BrokerCore> core;
};

}  // namespace orch::bus
