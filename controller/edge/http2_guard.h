// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "controller/edge/http2_share.h"

namespace orch::controller {

// RFC 9113, section 7.
enum class Http2Code : uint32_t {
  kProtocolError = 1,
  kSettingsTimeout = 4,
  kFrameSizeError = 6,
  kEnhanceYourCalm = 11,
};

// Why a connection ends.
struct Http2Fault {
  Http2Code code;
  const char* why;  // lives for ever
};

// Reads one direction of a connection frame by frame, however the bytes are cut: nine bytes of
// header, and of the payload the first few where somebody wants them.
class Http2Frames {
 public:
  static constexpr size_t kHeaderBytes = 9;
  // Of a payload, what is kept: 32 settings.
  static constexpr size_t kPayloadKept = 192;

  struct Frame {
    uint32_t length = 0;
    uint8_t type = 0;
    uint8_t flags = 0;
    uint32_t stream = 0;
  };

  // Takes bytes off the front of `*bytes` until there is something to judge: true when a header is
  // complete (`frame()`, `begins()`), and once more when the kept part of its payload is
  // (`payload()`). False: all bytes are taken.
  bool Next(absl::string_view* bytes);
  const Frame& frame() const { return frame_; }
  bool begins() const { return begins_; }
  absl::string_view payload() const { return {kept_.data(), kept_size_}; }
  // Between two frames: something else could be written here.
  bool at_boundary() const { return header_size_ == 0; }

 private:
  std::array<char, kPayloadKept> kept_;
  std::array<uint8_t, kHeaderBytes> header_;
  Frame frame_;
  size_t header_size_ = 0;
  size_t kept_size_ = 0;
  uint32_t left_ = 0;    // of the payload
  bool begins_ = false;  // the last Next was about the header
  bool payload_due_ = false;
};

// Stands between a client and gRPC, whose version in Debian takes whatever memory and time a
// client's HTTP/2 frames ask for, and decides frame by frame, in both directions, whether the
// connection goes on. It changes nothing and drops nothing: the bytes of a judged piece go on as
// they are, or the connection ends. (A HEADERS frame that is left out would spoil HPACK's state,
// and a connection that is not read any more can't receive the WINDOW_UPDATE that it waits for.)
//
// What the counted limits are, and what honest clients need, is in docs/adr/0014.
//
// Pure: no sockets, no clock. Not thread-safe.
class Http2Guard {
 public:
  // After the TLS handshake: until the client's preface and its SETTINGS are there, and until it
  // has acknowledged ours.
  static constexpr absl::Duration kPrefaceTimeMax = absl::Seconds(5);
  static constexpr absl::Duration kSettingsTimeMax = absl::Seconds(10);
  // Calls under way on one connection. gRPC tells clients 256; before they have heard that, those
  // that don't wait begin at most 100 (Go, Node), which may come on top.
  static constexpr size_t kOpenStreamsMax = 512;
  // HEADERS with its CONTINUATIONs, as they are on the wire; gRPC takes 16 KiB of metadata.
  static constexpr uint32_t kHeaderBlockMax = 32 << 10;
  static constexpr int kContinuationsMax = 8;
  // PINGs and SETTINGS that gRPC has not acknowledged yet.
  static constexpr int kUnansweredMax = 64;
  static constexpr uint32_t kSmallDataBytes = 64;
  static constexpr uint32_t kSmallUpdateBytes = 1024;
  static constexpr uint32_t kGoAwayBytesMax = 4096;
  // Of each kind of frame, what a connection has free: who connects often for a call or two pays no
  // more for that than its TLS handshakes.
  static constexpr uint8_t kFreeOfConnection = 8;

  explicit Http2Guard(absl::Duration now) : preface_deadline_(now + kPrefaceTimeMax) {}

  // Judges what the client, or gRPC, has written next; `share` is of the client's caller, always
  // the same one. Nullopt: it may go on. After a fault the guard is asked nothing but GoAway and
  // Leave.
  std::optional<Http2Fault> OnClientBytes(absl::string_view bytes, absl::Duration now,
                                          Http2Share* share);
  std::optional<Http2Fault> OnServerBytes(absl::string_view bytes, absl::Duration now,
                                          Http2Share* share);
  std::optional<Http2Fault> OnTime(absl::Duration now) const;
  absl::Duration NextDeadline() const;
  // Gives back what the connection holds of `share`: once, at its end. Calls that were under way
  // count as reset: closing a connection does to gRPC what a reset of each would.
  void Leave(absl::Duration now, Http2Share* share);

  // The client's preface and first SETTINGS are complete: it speaks HTTP/2.
  bool opened() const { return opened_; }
  size_t open_streams() const { return streams_.size(); }
  // The frame that tells the client why; empty while gRPC is in the middle of a frame of its own.
  std::string GoAway(const Http2Fault& fault) const;

 private:
  using Frame = Http2Frames::Frame;
  using Judgement = std::optional<Http2Fault>;

  Judgement OnPreface(absl::string_view* bytes);
  Judgement OnClientFrame(const Frame& frame, absl::Duration now, Http2Share* share);
  Judgement OnClientHeaders(const Frame& frame, absl::Duration now, Http2Share* share);
  Judgement OnContinuation(const Frame& frame);
  Judgement OnClientData(const Frame& frame, absl::Duration now, Http2Share* share);
  Judgement OnClientSettings(const Frame& frame, absl::Duration now, Http2Share* share);
  Judgement OnClientPayload(const Frame& frame, absl::string_view payload, absl::Duration now,
                            Http2Share* share);
  Judgement OnServerFrame(const Frame& frame, absl::Duration now);
  // False: the connection has had what is free, and the caller's budget is spent.
  bool Pay(Http2Cost cost, absl::Duration now, Http2Share* share);
  void EndSide(uint32_t stream, uint8_t side, Http2Share* share);
  void Forget(uint32_t stream, Http2Share* share);

  const absl::Duration preface_deadline_;
  absl::Duration settings_deadline_ = absl::InfiniteDuration();
  Http2Frames client_, server_;
  size_t preface_size_ = 0;
  bool first_frame_ = true;
  bool opened_ = false;
  std::array<uint8_t, kHttp2Costs> had_free_{};
  absl::flat_hash_map<uint32_t, uint8_t> streams_;  // open ones: which sides have ended
  uint32_t last_stream_ = 0;
  uint32_t block_stream_ = 0;  // whose header block is under way; 0: none
  uint32_t block_bytes_ = 0;
  int block_frames_ = 0;
  int pings_unanswered_ = 0;     // the client's
  int settings_unanswered_ = 0;  // the client's
  int our_settings_unanswered_ = 0;
};

}  // namespace orch::controller
