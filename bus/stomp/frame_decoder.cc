// SPDX-License-Identifier: Apache-2.0

// Input is hostile and arrives in any pieces, so the decoder is a state machine that consumes each
// byte once and remembers only the begun line or body. A limit is checked on the part that has
// come, not on the whole frame, so that a peer can't make us hold what we would refuse; memory for
// an announced body is taken only as the body arrives. An error is final: after it nobody knows
// where the next frame begins. Buffers that grew are given back, because ten thousand decoders are
// idle.

#include <algorithm>
#include <cstring>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/text.h"
#include "bus/stomp/frame.h"

namespace orch::bus {
namespace {

// Line buffers above this are given back after the frame, so that an idle connection holds nothing.
constexpr size_t kLineKeptMax = 64;
// Bodies up to this grow with what arrives.
constexpr size_t kGrownBytesMax = 64 << 10;
// How much of a bad line an error quotes.
constexpr size_t kQuotedMax = 40;

std::string Quote(absl::string_view text) {
  return absl::StrCat("`", absl::CHexEscape(text.substr(0, kQuotedMax)),
                      text.size() > kQuotedMax ? "…" : "", "`");
}

std::string QuoteByte(char byte) {
  return absl::StrCat("byte 0x", absl::Hex(static_cast<unsigned char>(byte), absl::kZeroPad2));
}

absl::StatusOr<std::string> Unescape(absl::string_view text, StompVersion version) {
  size_t at = text.find('\\');
  if (version == StompVersion::k10 || at == absl::string_view::npos) return std::string(text);
  std::string out(text.substr(0, at));
  while (at < text.size()) {
    if (text[at] != '\\') {
      const size_t next = std::min(text.find('\\', at), text.size());
      out.append(text.data() + at, next - at);
      at = next;
      continue;
    }
    if (at + 1 == text.size()) {
      return absl::InvalidArgumentError("header line ends within an escape");
    }
    const char c = text[at + 1];
    if (c == 'n') {
      out.push_back('\n');
    } else if (c == 'c') {
      out.push_back(':');
    } else if (c == '\\') {
      out.push_back('\\');
    } else if (c == 'r' && version == StompVersion::k12) {
      out.push_back('\r');
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("undefined escape \\", absl::CHexEscape(absl::string_view(&c, 1))));
    }
    at += 2;
  }
  return out;
}

// STOMP 1.2, "Body": only these have one.
bool MayHaveBody(absl::string_view command) {
  return command == "SEND" || command == "MESSAGE" || command == "ERROR";
}

bool HasNul(absl::string_view text) {
  return !text.empty() && std::memchr(text.data(), 0, text.size()) != nullptr;
}

}  // namespace

absl::Status Decoder::Feed(absl::string_view bytes, std::vector<Frame>* out) {
  while (error_.ok() && !bytes.empty()) {
    switch (state_) {
      case State::kBetween:
        error_ = TakeBetween(&bytes);
        break;
      case State::kCommand:
      case State::kHeaders:
        error_ = TakeLine(&bytes);
        break;
      case State::kCountedBody:
        TakeCountedBody(&bytes);
        break;
      case State::kOpenBody:
        error_ = TakeOpenBody(&bytes, out);
        break;
      case State::kEnd:
        error_ = TakeEnd(&bytes, out);
        break;
    }
  }
  return error_;
}

absl::Status Decoder::TakeBetween(absl::string_view* bytes) {
  const char c = bytes->front();
  if (between_cr_ && c != '\n') {
    return absl::InvalidArgumentError("carriage return without line feed between frames");
  }
  between_cr_ = c == '\r';
  if (c == '\n') ++heart_beats_;
  if (c == '\n' || c == '\r') {
    bytes->remove_prefix(1);
  } else {
    state_ = State::kCommand;
  }
  return absl::OkStatus();
}

absl::Status Decoder::CheckPartOfLine(absl::string_view part) const {
  if (state_ == State::kCommand) {
    // A trailing CR belongs to the line's end.
    for (const char c : part) {
      if ((c < 'A' || c > 'Z') && c != '\r') {
        return absl::InvalidArgumentError(
            absl::StrCat("not a STOMP command: ", QuoteByte(c), " in ", Quote(part)));
      }
    }
    if (line_.size() + part.size() > limits_.command_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("command is over ", limits_.command_bytes, " bytes (command_bytes)"));
    }
    return absl::OkStatus();
  }
  if (head_bytes_ + line_.size() + part.size() > limits_.header_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("header lines are over ", limits_.header_bytes, " bytes (header_bytes)"));
  }
  if (HasNul(part)) return absl::InvalidArgumentError("NUL inside the headers");
  return absl::OkStatus();
}

absl::Status Decoder::TakeLine(absl::string_view* bytes) {
  const void* end = std::memchr(bytes->data(), '\n', bytes->size());
  const size_t size =
      end == nullptr ? bytes->size() : static_cast<const char*>(end) - bytes->data();
  absl::string_view line = bytes->substr(0, size);
  bytes->remove_prefix(end == nullptr ? size : size + 1);
  ORCH_RETURN_IF_ERROR(CheckPartOfLine(line));
  if (end == nullptr) {
    line_.append(line.data(), line.size());
    return absl::OkStatus();
  }
  if (!line_.empty()) {
    line_.append(line.data(), line.size());
    line = line_;
  }
  head_bytes_ += line.size() + 1;
  // Before CONNECT the version is not known and counts as 1.2, so CONNECT may have CRLF in any.
  if (version_ == StompVersion::k12 && !line.empty() && line.back() == '\r') line.remove_suffix(1);
  absl::Status status = state_ == State::kCommand ? OnCommand(line)
                        : line.empty()            ? OnHeadersEnd()
                                                  : OnHeader(line);
  line_.clear();
  return status;
}

absl::Status Decoder::OnCommand(absl::string_view line) {
  if (line.empty() || line.find('\r') != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("not a STOMP command: ", Quote(line)));
  }
  frame_.command = std::string(line);
  frame_.headers.reserve(8);
  state_ = State::kHeaders;
  return absl::OkStatus();
}

absl::Status Decoder::OnHeader(absl::string_view line) {
  if (frame_.headers.size() == limits_.headers) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", limits_.headers, " header lines (headers)"));
  }
  if (version_ == StompVersion::k12 && line.find('\r') != absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("carriage return inside header line ", Quote(line)));
  }
  if (limits_.utf8_headers && !base::IsUtf8(line)) {
    return absl::InvalidArgumentError(absl::StrCat("header line is not UTF-8: ", Quote(line)));
  }
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("header line without ':': ", Quote(line)));
  }
  if (colon == 0) {
    return absl::InvalidArgumentError(absl::StrCat("header line without a name: ", Quote(line)));
  }
  const bool plain = frame_.command == "CONNECT" || frame_.command == "CONNECTED";
  const StompVersion version = plain ? StompVersion::k10 : version_;
  absl::string_view value = line.substr(colon + 1);
  // 1.0 clients write `destination: /queue/a`; from 1.1 on the space belongs to the value.
  if (version_ == StompVersion::k10) {
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  }
  ORCH_ASSIGN_OR_RETURN(std::string name, Unescape(line.substr(0, colon), version));
  ORCH_ASSIGN_OR_RETURN(std::string text, Unescape(value, version));
  frame_.headers.push_back({std::move(name), std::move(text)});
  return absl::OkStatus();
}

absl::Status Decoder::OnHeadersEnd() {
  const std::string* length = frame_.Find("content-length");
  if (length == nullptr) {
    state_ = State::kOpenBody;
    return absl::OkStatus();
  }
  // 19 digits fit into 64 bits; SimpleAtoi alone would also take signs and blanks.
  uint64_t size = 0;
  if (length->empty() || length->size() > 19 ||
      length->find_first_not_of("0123456789") != std::string::npos ||
      !absl::SimpleAtoi(*length, &size)) {
    return absl::InvalidArgumentError(
        absl::StrCat("content-length is not a number: ", Quote(*length)));
  }
  if (size > limits_.body_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "body of ", size, " bytes is over the limit of ", limits_.body_bytes, " (body_bytes)"));
  }
  if (size > 0 && !MayHaveBody(frame_.command)) {
    return absl::InvalidArgumentError(absl::StrCat("a ", frame_.command, " frame has no body"));
  }
  body_left_ = size;
  state_ = size == 0 ? State::kEnd : State::kCountedBody;
  return absl::OkStatus();
}

void Decoder::TakeCountedBody(absl::string_view* bytes) {
  const size_t size = std::min(body_left_, bytes->size());
  // Announcing a large body costs the peer nothing, so it is given room only once a part of it has
  // come; then all of it at once, because growing by doubling wastes as much again.
  if (frame_.body.size() + size > kGrownBytesMax) {
    frame_.body.reserve(frame_.body.size() + body_left_);
  }
  frame_.body.append(bytes->data(), size);
  bytes->remove_prefix(size);
  body_left_ -= size;
  if (body_left_ == 0) state_ = State::kEnd;
}

absl::Status Decoder::TakeOpenBody(absl::string_view* bytes, std::vector<Frame>* out) {
  const void* end = std::memchr(bytes->data(), 0, bytes->size());
  const size_t size =
      end == nullptr ? bytes->size() : static_cast<const char*>(end) - bytes->data();
  if (size > 0 && !MayHaveBody(frame_.command)) {
    return absl::InvalidArgumentError(absl::StrCat("a ", frame_.command, " frame has no body"));
  }
  if (frame_.body.size() + size > limits_.body_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("body without content-length is over the limit of ", limits_.body_bytes,
                     " bytes (body_bytes)"));
  }
  frame_.body.append(bytes->data(), size);
  bytes->remove_prefix(end == nullptr ? size : size + 1);
  if (end != nullptr) Complete(out);
  return absl::OkStatus();
}

absl::Status Decoder::TakeEnd(absl::string_view* bytes, std::vector<Frame>* out) {
  if (bytes->front() != '\0') {
    return absl::InvalidArgumentError(
        absl::StrCat("body not terminated by NUL: after the ", frame_.body.size(),
                     " bytes of content-length comes ", QuoteByte(bytes->front())));
  }
  bytes->remove_prefix(1);
  Complete(out);
  return absl::OkStatus();
}

void Decoder::Complete(std::vector<Frame>* out) {
  out->push_back(std::move(frame_));
  frame_ = Frame();
  head_bytes_ = 0;
  // Assigning an empty string would keep the memory.
  if (line_.capacity() > kLineKeptMax) std::string().swap(line_);
  state_ = State::kBetween;
}

}  // namespace orch::bus
