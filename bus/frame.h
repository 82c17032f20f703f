// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

// STOMP 1.2 frames (https://stomp.github.io/stomp-specification-1.2.html): a struct, a writer, and an incremental
// decoder with limits. Pure.

namespace orch::bus {

struct Header {
  std::string name;
  std::string value;
};

struct Frame {
  std::string command;          // `SEND`, `MESSAGE`, …
  std::vector<Header> headers;  // unescaped, in order; where a name repeats the first one counts
  std::string body;

  // The first header of that name, or null.
  const std::string* Find(absl::string_view name) const;
  void Add(absl::string_view name, absl::string_view value);
};

// Protocol versions differ in escaping: CONNECT and CONNECTED never escape; 1.1 knows no \r; 1.0 nothing.
enum class StompVersion { k10, k11, k12 };

struct FrameLimits {
  size_t command_bytes = 32;
  size_t headers = 64;
  size_t header_bytes = 8 << 10;  // all header lines of a frame together
  size_t body_bytes = 1 << 20;
};

// The wire form, with content-length where there is a body (unless `frame` has one) and the NUL at the end.
std::string Encode(const Frame& frame, StompVersion version = StompVersion::k12);

// Feed bytes, take frames. After an error it stays in error: the connection is over.
class Decoder {
 public:
  explicit Decoder(FrameLimits limits = {}) : limits_(limits) {}
  void set_version(StompVersion version) { version_ = version; }
  // Consumes all of `bytes`; complete frames are appended to `out`. Empty lines between frames are heart-beats, counted
  // in heart_beats(). InvalidArgument: malformed; ResourceExhausted: over a limit, which is named.
  absl::Status Feed(absl::string_view bytes, std::vector<Frame>* out);
  uint64_t heart_beats() const { return heart_beats_; }
  // Bytes held of a frame that is not complete.
  size_t pending_bytes() const;

 private:
  FrameLimits limits_;
  StompVersion version_ = StompVersion::k12;
  uint64_t heart_beats_ = 0;
  std::string buffer_;
  size_t scanned_ = 0;
  absl::Status error_;
};

}  // namespace orch::bus
