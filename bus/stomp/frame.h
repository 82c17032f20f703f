// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

// STOMP 1.2 frames (https://stomp.github.io/stomp-specification-1.2.html): a struct, a writer, and
// an incremental decoder with limits. Pure.

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

// The protocol versions, which differ in how headers are escaped: 1.2 escapes carriage returns,
// line feeds, colons and backslashes, 1.1 all of these but carriage returns, 1.0 nothing. CONNECT
// and CONNECTED are never escaped.
enum class StompVersion : uint8_t { k10, k11, k12 };

struct FrameLimits {
  size_t command_bytes = 32;
  size_t headers = 64;
  size_t header_bytes = 8 << 10;  // the command and all header lines of a frame together
  size_t body_bytes = 1 << 20;
  // Header lines must be UTF-8, as STOMP 1.2 has it ("Value Encoding"). A broker says so to whoever
  // sends; a client that read one broken line from its broker would lose the connection to a
  // stranger.
  bool utf8_headers = false;
};

// The wire form, with content-length where there is a body (unless `frame` has one) and the NUL at
// the end.
std::string Encode(const Frame& frame, StompVersion version = StompVersion::k12);

// Appends one line `name:value` with its escapes. Where the version has no escape for a line end it
// becomes a space, so that no value can add a line of its own.
void AppendHeader(absl::string_view name, absl::string_view value, StompVersion version,
                  std::string* out);

// Turns a stream of bytes, cut in any way, into frames. After an error every further call gives
// that error again: nobody knows where the next frame begins, so the connection is over.
//
// Each byte is looked at once, however the input is cut; of a frame that is not complete only what
// has arrived is held. Refused as soon as it is seen: lines without ':', undefined escapes, bytes
// that no command has, NUL or a bare carriage return in a header, a wrong or too large
// content-length, a body where the command has none.
class Decoder {
 public:
  explicit Decoder(FrameLimits limits = {}) : limits_(limits) {}
  void set_version(StompVersion version) { version_ = version; }
  // Consumes all of `bytes`; complete frames are appended to `out`, also those before an error.
  // Empty lines between frames are heart-beats, counted in heart_beats(). InvalidArgument:
  // malformed; ResourceExhausted: over a limit, which is named.
  absl::Status Feed(absl::string_view bytes, std::vector<Frame>* out);
  uint64_t heart_beats() const { return heart_beats_; }
  // Bytes held for a frame that is not complete; zero between frames.
  size_t pending_bytes() const {
    return state_ == State::kBetween ? 0 : head_bytes_ + line_.size() + frame_.body.capacity();
  }

 private:
  enum class State : uint8_t { kBetween, kCommand, kHeaders, kCountedBody, kOpenBody, kEnd };

  absl::Status TakeBetween(absl::string_view* bytes);
  absl::Status TakeLine(absl::string_view* bytes);
  absl::Status TakeOpenBody(absl::string_view* bytes, std::vector<Frame>* out);
  absl::Status TakeEnd(absl::string_view* bytes, std::vector<Frame>* out);
  void TakeCountedBody(absl::string_view* bytes);
  absl::Status CheckPartOfLine(absl::string_view part) const;
  absl::Status OnCommand(absl::string_view line);
  absl::Status OnHeader(absl::string_view line);
  absl::Status OnHeadersEnd();
  void Complete(std::vector<Frame>* out);

  FrameLimits limits_;
  StompVersion version_ = StompVersion::k12;
  State state_ = State::kBetween;
  bool between_cr_ = false;  // a CR between frames waits for its LF
  uint64_t heart_beats_ = 0;
  size_t head_bytes_ = 0;  // of the complete lines of frame_
  size_t body_left_ = 0;   // in kCountedBody
  std::string line_;       // the begun line
  Frame frame_;            // what is complete of the begun frame
  absl::Status error_;
};

}  // namespace orch::bus
