// SPDX-License-Identifier: Apache-2.0
#include "test/testing/stomp_peer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/asio.h"

namespace orch::testing {
namespace {

// Why `frame` is not what `pattern` wants; empty: it is.
std::string Mismatch(const FramePattern& pattern, const bus::Frame& frame) {
  if (frame.command != pattern.command) {
    return absl::StrCat("expected ", pattern.command, ", got ", frame.command);
  }
  for (const bus::Header& header : pattern.headers) {
    const std::string* value = frame.Find(header.name);
    if (value == nullptr || *value != header.value) {
      return absl::StrCat(pattern.command, ": expected ", header.name, ":", header.value, ", got ",
                          value == nullptr ? "none" : *value);
    }
  }
  if (pattern.body.has_value() && frame.body != *pattern.body) {
    return absl::StrCat(pattern.command, ": expected the body ", *pattern.body, ", got ",
                        frame.body);
  }
  return "";
}

}  // namespace

FramePattern Connect() { return {"CONNECT"}; }
FramePattern Subscribe(const std::string& destination) {
  return {"SUBSCRIBE", {{"destination", destination}}};
}
FramePattern Send(const std::string& destination, const std::string& body) {
  return {"SEND", {{"destination", destination}}, body};
}
FramePattern Disconnect() { return {"DISCONNECT"}; }

bus::Frame Connected(const std::string& version, const std::string& heart_beat) {
  return {"CONNECTED", {{"version", version}, {"heart-beat", heart_beat}}, ""};
}
bus::Frame Message(const std::string& subscription, const std::string& body) {
  return {"MESSAGE",
          {{"subscription", subscription}, {"message-id", "m"}, {"destination", "/elsewhere"}},
          body};
}
bus::Frame Error(const std::string& message) { return {"ERROR", {{"message", message}}, ""}; }

StompPeer& StompPeer::NextConnection() {
  scripts_.emplace_back();
  return *this;
}

StompPeer& StompPeer::RefuseConnection(const std::string& why) {
  scripts_.push_back({why, {}});
  return *this;
}

StompPeer& StompPeer::Expect(FramePattern pattern) {
  scripts_.back().steps.push_back({Step::Kind::kExpect, std::move(pattern)});
  return *this;
}

StompPeer& StompPeer::Reply(const bus::Frame& frame) { return ReplyBytes(bus::Encode(frame)); }

StompPeer& StompPeer::ReplyBytes(std::string bytes) {
  scripts_.back().steps.push_back({Step::Kind::kReply, {}, std::move(bytes)});
  return *this;
}

StompPeer& StompPeer::ReplyReceipt() {
  scripts_.back().steps.push_back({Step::Kind::kReceipt});
  return *this;
}

StompPeer& StompPeer::StopReading() {
  scripts_.back().steps.push_back({Step::Kind::kStopReading});
  return *this;
}

StompPeer& StompPeer::HangUp() {
  scripts_.back().steps.push_back({Step::Kind::kHangUp});
  return *this;
}

base::Awaitable<absl::StatusOr<std::unique_ptr<bus::Stream>>> StompPeer::Connect(
    base::Strand strand, std::string address) {
  addresses_.push_back(address);
  if (scripts_.empty()) {
    co_return absl::UnavailableError(absl::StrCat("connect ", address, ": not in the script"));
  }
  Script script = std::move(scripts_.front());
  scripts_.pop_front();
  if (!script.refusal.empty()) {
    co_return absl::UnavailableError(absl::StrCat("connect ", address, ": ", script.refusal));
  }
  // Small, so that who does not read is noticed.
  constexpr size_t kCapacity = 64 << 10;
  auto ends = bus::NewMemoryStreams(strand, strand_, kCapacity);
  ++playing_;
  ++open_;
  base::asio::co_spawn(strand_, Play(shared_from_this(), std::move(ends.second), std::move(script)),
                       base::asio::detached);
  co_return std::move(ends.first);
}

void StompPeer::Fail(std::string what) {
  if (failure_.empty()) failure_ = std::move(what);
}

base::Awaitable<void> StompPeer::Play(std::shared_ptr<StompPeer> self,
                                      std::unique_ptr<bus::Stream> stream, Script script) {
  bus::Decoder decoder;
  base::Awaitable<void> playing = PlaySteps(self, stream.get(), &script, &decoder);
  co_await std::move(playing);
  --self->playing_;
  std::deque<bus::Frame> waiting;
  for (;;) {
    base::Awaitable<std::optional<bus::Frame>> reading =
        NextFrame(self, stream.get(), &decoder, &waiting);
    std::optional<bus::Frame> frame = co_await std::move(reading);
    if (!frame.has_value()) break;
  }
  --self->open_;
}

base::Awaitable<void> StompPeer::PlaySteps(std::shared_ptr<StompPeer> self, bus::Stream* stream,
                                           Script* script, bus::Decoder* decoder) {
  std::deque<bus::Frame> waiting;
  std::string receipt;
  for (Step& step : script->steps) {
    if (step.kind == Step::Kind::kHangUp) {
      stream->Close();
      continue;
    }
    if (step.kind == Step::Kind::kStopReading) {
      // Until the end of the test, or of the loop.
      base::asio::steady_timer never(self->strand_, base::asio::steady_timer::time_point::max());
      co_await never.async_wait(base::kTuple);
      continue;
    }
    if (step.kind == Step::Kind::kExpect) {
      base::Awaitable<std::optional<bus::Frame>> reading =
          NextFrame(self, stream, decoder, &waiting);
      std::optional<bus::Frame> frame = co_await std::move(reading);
      const std::string mismatch =
          frame.has_value()
              ? Mismatch(step.pattern, *frame)
              : absl::StrCat("expected ", step.pattern.command, ", got the end of the connection");
      if (!mismatch.empty()) {
        self->Fail(mismatch);
        stream->Close();
        co_return;
      }
      const std::string* asked = frame->Find("receipt");
      receipt = asked != nullptr ? *asked : "";
      continue;
    }
    if (step.kind == Step::Kind::kReceipt) {
      step.bytes = bus::Encode({"RECEIPT", {{"receipt-id", receipt}}, ""});
    }
    const std::vector<base::asio::const_buffer> buffers = {base::asio::buffer(step.bytes)};
    base::Awaitable<absl::Status> writing = stream->Write(buffers);
    absl::Status written = co_await std::move(writing);
    if (!written.ok()) self->Fail(absl::StrCat("reply: ", written.message()));
  }
}

base::Awaitable<std::optional<bus::Frame>> StompPeer::NextFrame(std::shared_ptr<StompPeer> self,
                                                                bus::Stream* stream,
                                                                bus::Decoder* decoder,
                                                                std::deque<bus::Frame>* waiting) {
  char buffer[4096];
  while (waiting->empty()) {
    base::Awaitable<absl::StatusOr<size_t>> reading = stream->Read(buffer, sizeof buffer);
    absl::StatusOr<size_t> size = co_await std::move(reading);
    if (!size.ok()) co_return std::nullopt;
    const uint64_t before = decoder->heart_beats();
    std::vector<bus::Frame> frames;
    const absl::Status decoded = decoder->Feed(absl::string_view(buffer, *size), &frames);
    if (!decoded.ok()) self->Fail(absl::StrCat("the client's frame: ", decoded.message()));
    self->heart_beats_ += decoder->heart_beats() - before;
    for (bus::Frame& frame : frames) {
      self->received_.push_back(frame);
      waiting->push_back(std::move(frame));
    }
  }
  bus::Frame next = std::move(waiting->front());
  waiting->pop_front();
  co_return next;
}

}  // namespace orch::testing
