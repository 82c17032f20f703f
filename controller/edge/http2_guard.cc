// SPDX-License-Identifier: Apache-2.0
#include "controller/edge/http2_guard.h"

#include <algorithm>
#include <cstring>
#include <utility>

// Where a limit stands, the worst that a client can do below it is cheap: that is what
// test/hostile/http2_test.py measures. What gRPC checks well by itself (flow control, the sequence
// of frames on a stream, HPACK) is left to it; only what makes it count or keep something without a
// bound is judged here.

namespace orch::controller {
namespace {

constexpr absl::string_view kPreface("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

// RFC 9113, sections 6 and 11.2.
enum Type : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kReset = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
constexpr uint8_t kEndStream = 0x1;  // DATA, HEADERS
constexpr uint8_t kAck = 0x1;        // SETTINGS, PING
constexpr uint8_t kEndHeaders = 0x4;
constexpr uint8_t kPadded = 0x8;

constexpr uint8_t kClientEnded = 1;
constexpr uint8_t kServerEnded = 2;

constexpr uint32_t kSettingBytes = 6;

uint32_t Read32(absl::string_view bytes) {
  uint32_t out = 0;
  for (size_t i = 0; i < 4; ++i) out = out << 8 | static_cast<uint8_t>(bytes[i]);
  return out;
}

void Append32(uint32_t value, std::string* out) {
  for (int shift = 24; shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

Http2Fault Protocol(const char* why) { return {Http2Code::kProtocolError, why}; }
Http2Fault Size(const char* why) { return {Http2Code::kFrameSizeError, why}; }
Http2Fault Calm(const char* why) { return {Http2Code::kEnhanceYourCalm, why}; }

// The length that a type must have; 0: none in particular.
uint32_t LengthOf(uint8_t type) {
  switch (type) {
    case kPriority:
      return 5;
    case kReset:
    case kWindowUpdate:
      return 4;
    case kPing:
      return 8;
    default:
      return 0;
  }
}

// Whose payload is read. Of others nothing is kept.
size_t KeptOf(const Http2Frames::Frame& frame) {
  switch (frame.type) {
    case kSettings:
    case kWindowUpdate:
    case kReset:
      return std::min<size_t>(frame.length, Http2Frames::kPayloadKept);
    default:
      return 0;
  }
}

}  // namespace

bool Http2Frames::Next(absl::string_view* bytes) {
  for (;;) {
    if (header_size_ < kHeaderBytes) {
      if (bytes->empty()) return false;
      const size_t part = std::min(kHeaderBytes - header_size_, bytes->size());
      std::memcpy(header_.data() + header_size_, bytes->data(), part);
      header_size_ += part;
      bytes->remove_prefix(part);
      if (header_size_ < kHeaderBytes) return false;
      const absl::string_view header(reinterpret_cast<const char*>(header_.data()), kHeaderBytes);
      frame_.length = Read32(header) >> 8;
      frame_.type = header_[3];
      frame_.flags = header_[4];
      frame_.stream = Read32(header.substr(5)) & 0x7fffffff;
      left_ = frame_.length;
      kept_size_ = 0;
      begins_ = true;
      payload_due_ = true;
      return true;
    }
    begins_ = false;
    const size_t part = std::min<size_t>(left_, bytes->size());
    const size_t kept = std::min(part, KeptOf(frame_) - kept_size_);
    if (kept > 0) std::memcpy(kept_.data() + kept_size_, bytes->data(), kept);
    kept_size_ += kept;
    left_ -= static_cast<uint32_t>(part);
    bytes->remove_prefix(part);
    if (left_ > 0) return false;
    header_size_ = 0;
    if (std::exchange(payload_due_, false)) return true;
  }
}

std::optional<Http2Fault> Http2Guard::OnPreface(absl::string_view* bytes) {
  const size_t part = std::min(kPreface.size() - preface_size_, bytes->size());
  if (bytes->substr(0, part) != kPreface.substr(preface_size_, part)) {
    return Protocol("no HTTP/2 preface");
  }
  preface_size_ += part;
  bytes->remove_prefix(part);
  return std::nullopt;
}

std::optional<Http2Fault> Http2Guard::OnClientBytes(absl::string_view bytes, absl::Duration now,
                                                    Http2Share* share) {
  if (const Judgement fault = OnPreface(&bytes); fault.has_value()) return fault;
  while (client_.Next(&bytes)) {
    const Judgement fault = client_.begins()
                                ? OnClientFrame(client_.frame(), now, share)
                                : OnClientPayload(client_.frame(), client_.payload(), now, share);
    if (fault.has_value()) return fault;
  }
  return std::nullopt;
}

std::optional<Http2Fault> Http2Guard::OnClientFrame(const Frame& frame, absl::Duration now,
                                                    Http2Share* share) {
  if (std::exchange(first_frame_, false) && (frame.type != kSettings || (frame.flags & kAck))) {
    return Protocol("the first frame is not SETTINGS");
  }
  if (block_stream_ != 0 && (frame.type != kContinuation || frame.stream != block_stream_)) {
    return Protocol("another frame within a header block");
  }
  if (const uint32_t length = LengthOf(frame.type); length != 0 && frame.length != length) {
    return Size("a frame of a wrong length");
  }
  switch (frame.type) {
    case kData:
      return OnClientData(frame, now, share);
    case kHeaders:
      return OnClientHeaders(frame, now, share);
    case kContinuation:
      return OnContinuation(frame);
    case kSettings:
      return OnClientSettings(frame, now, share);
    case kPriority:
      if (!Pay(Http2Cost::kPriorities, now, share)) return Calm("too many PRIORITY");
      return std::nullopt;
    case kReset:
      if (!Pay(Http2Cost::kResets, now, share)) return Calm("too many resets");
      Forget(frame.stream, share);
      return std::nullopt;
    case kPing:
      if (!Pay(Http2Cost::kPings, now, share)) return Calm("too many PINGs");
      if (!(frame.flags & kAck) && ++pings_unanswered_ > kUnansweredMax) {
        return Calm("too many PINGs at once");
      }
      return std::nullopt;
    case kWindowUpdate:
      if (!Pay(Http2Cost::kUpdates, now, share)) return Calm("too many WINDOW_UPDATE");
      return std::nullopt;
    case kPushPromise:
      return Protocol("PUSH_PROMISE of a client");
    default:
      if (frame.length > kGoAwayBytesMax) return Size("a frame of an unknown type is too long");
      if (!Pay(Http2Cost::kOthers, now, share)) return Calm("too many frames of other types");
      return std::nullopt;
  }
}

std::optional<Http2Fault> Http2Guard::OnClientHeaders(const Frame& frame, absl::Duration now,
                                                      Http2Share* share) {
  if (frame.stream % 2 == 0) return Protocol("HEADERS on a stream that is not the client's");
  if (frame.length > kHeaderBlockMax) return Calm("too many bytes of headers");
  if (!Pay(Http2Cost::kHeaders, now, share)) return Calm("too many calls");
  if (frame.stream > last_stream_) {
    last_stream_ = frame.stream;
    if (!share->HasLeft(Http2Cost::kResets, now)) return Calm("too many calls were given up");
    if (streams_.size() >= kOpenStreamsMax) return Calm("too many calls at once");
    if (!share->OpenStream()) return Calm("too many calls at once over all connections");
    streams_.emplace(frame.stream, uint8_t{0});
  }
  if (frame.flags & kEndStream) EndSide(frame.stream, kClientEnded, share);
  if (!(frame.flags & kEndHeaders)) {
    block_stream_ = frame.stream;
    block_bytes_ = frame.length;
    block_frames_ = 0;
  }
  return std::nullopt;
}

std::optional<Http2Fault> Http2Guard::OnContinuation(const Frame& frame) {
  if (block_stream_ == 0) return Protocol("CONTINUATION without HEADERS");
  if (frame.length > kHeaderBlockMax - block_bytes_) return Calm("too many bytes of headers");
  block_bytes_ += frame.length;
  if (++block_frames_ > kContinuationsMax) return Calm("too many CONTINUATION");
  if (frame.flags & kEndHeaders) block_stream_ = 0;
  return std::nullopt;
}

std::optional<Http2Fault> Http2Guard::OnClientData(const Frame& frame, absl::Duration now,
                                                   Http2Share* share) {
  if (frame.flags & kEndStream) {
    EndSide(frame.stream, kClientEnded, share);
    return std::nullopt;
  }
  if (frame.length == 0) {
    if (!Pay(Http2Cost::kEmptyData, now, share)) return Calm("too many empty DATA");
  } else if (frame.length < kSmallDataBytes || (frame.flags & kPadded)) {
    if (!Pay(Http2Cost::kSmallData, now, share)) return Calm("too many small DATA");
  }
  return std::nullopt;
}

std::optional<Http2Fault> Http2Guard::OnClientSettings(const Frame& frame, absl::Duration now,
                                                       Http2Share* share) {
  if (frame.length % kSettingBytes != 0 || frame.length > Http2Frames::kPayloadKept ||
      ((frame.flags & kAck) && frame.length != 0)) {
    return Size("SETTINGS of a wrong length");
  }
  if ((frame.flags & kAck) && our_settings_unanswered_ > 0) {
    if (--our_settings_unanswered_ == 0) settings_deadline_ = absl::InfiniteDuration();
    return std::nullopt;
  }
  if (!Pay(Http2Cost::kSettings, now, share)) return Calm("too many SETTINGS");
  if (!(frame.flags & kAck) && ++settings_unanswered_ > kUnansweredMax) {
    return Calm("too many SETTINGS at once");
  }
  return std::nullopt;
}

std::optional<Http2Fault> Http2Guard::OnClientPayload(const Frame& frame, absl::string_view payload,
                                                      absl::Duration now, Http2Share* share) {
  if (frame.type == kSettings && !(frame.flags & kAck)) {
    opened_ = true;
    for (; payload.size() >= kSettingBytes; payload.remove_prefix(kSettingBytes)) {
      const uint32_t id = Read32(payload) >> 16;
      const uint32_t value = Read32(payload.substr(2));
      constexpr uint32_t kEnablePush = 2, kInitialWindow = 4, kMaxFrame = 5;
      if ((id == kEnablePush && value > 1) || (id == kInitialWindow && value > 0x7fffffff) ||
          (id == kMaxFrame && (value < (1 << 14) || value >= (1 << 24)))) {
        return Protocol("a setting out of its range");
      }
    }
  }
  if (frame.type == kWindowUpdate && (Read32(payload) & 0x7fffffff) < kSmallUpdateBytes &&
      !Pay(Http2Cost::kSmallUpdates, now, share)) {
    return Calm("too many small WINDOW_UPDATE");
  }
  return std::nullopt;
}

std::optional<Http2Fault> Http2Guard::OnServerBytes(absl::string_view bytes, absl::Duration now,
                                                    Http2Share* share) {
  while (server_.Next(&bytes)) {
    const Frame& frame = server_.frame();
    if (!server_.begins()) {
      // A reset with an error is one that the client has asked for, by a fault of its own.
      if (frame.type != kReset || server_.payload().size() != 4) continue;
      Forget(frame.stream, share);
      if (Read32(server_.payload()) != 0 && !Pay(Http2Cost::kResets, now, share)) {
        return Calm("too many calls that were reset");
      }
      continue;
    }
    const bool ends = (frame.type == kData || frame.type == kHeaders) && (frame.flags & kEndStream);
    if (ends) EndSide(frame.stream, kServerEnded, share);
    if (frame.type == kPing && (frame.flags & kAck) && pings_unanswered_ > 0) --pings_unanswered_;
    if (frame.type != kSettings) continue;
    if (!(frame.flags & kAck)) {
      if (++our_settings_unanswered_ == 1) settings_deadline_ = now + kSettingsTimeMax;
    } else if (settings_unanswered_ > 0) {
      --settings_unanswered_;
    }
  }
  return std::nullopt;
}

std::optional<Http2Fault> Http2Guard::OnTime(absl::Duration now) const {
  if (!opened_ && now >= preface_deadline_) return Protocol("no HTTP/2 preface in time");
  if (now >= settings_deadline_) {
    return Http2Fault{Http2Code::kSettingsTimeout, "SETTINGS were not acknowledged in time"};
  }
  return std::nullopt;
}

absl::Duration Http2Guard::NextDeadline() const {
  return opened_ ? settings_deadline_ : std::min(preface_deadline_, settings_deadline_);
}

void Http2Guard::Leave(absl::Duration now, Http2Share* share) {
  share->Owe(Http2Cost::kResets, streams_.size(), now);
  share->CloseStreams(streams_.size());
  streams_.clear();
}

bool Http2Guard::Pay(Http2Cost cost, absl::Duration now, Http2Share* share) {
  uint8_t& had = had_free_[static_cast<size_t>(cost)];
  if (had >= kFreeOfConnection) return share->Take(cost, now);
  ++had;
  return true;
}

void Http2Guard::EndSide(uint32_t stream, uint8_t side, Http2Share* share) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return;
  found->second |= side;
  if (found->second == (kClientEnded | kServerEnded)) Forget(stream, share);
}

void Http2Guard::Forget(uint32_t stream, Http2Share* share) {
  if (streams_.erase(stream) > 0) share->CloseStreams(1);
}

std::string Http2Guard::GoAway(const Http2Fault& fault) const {
  if (!server_.at_boundary()) return "";
  const absl::string_view why(fault.why);
  std::string out;
  Append32(static_cast<uint32_t>(8 + why.size()) << 8 | kGoAway, &out);
  out.push_back(0);
  Append32(0, &out);
  Append32(last_stream_, &out);
  Append32(static_cast<uint32_t>(fault.code), &out);
  out.append(why.data(), why.size());
  return out;
}

}  // namespace orch::controller
