// SPDX-License-Identifier: Apache-2.0
#include "bus/stomp/frame.h"

#include "absl/strings/str_cat.h"

namespace orch::bus {
namespace {

void AppendEscaped(absl::string_view text, StompVersion version, std::string* out) {
  constexpr char kSpecial[] = "\\\n\r:";
  size_t begin = 0;
  for (;;) {
    const size_t at = text.find_first_of(kSpecial, begin);
    if (at == absl::string_view::npos) break;
    out->append(text.data() + begin, at - begin);
    const char c = text[at];
    if (version == StompVersion::k10) {
      out->push_back(c == '\n' || c == '\r' ? ' ' : c);
    } else if (c == '\\') {
      out->append("\\\\");
    } else if (c == '\n') {
      out->append("\\n");
    } else if (c == ':') {
      out->append("\\c");
    } else if (version == StompVersion::k12) {
      out->append("\\r");
    } else {
      out->push_back(c);
    }
    begin = at + 1;
  }
  out->append(text.data() + begin, text.size() - begin);
}

}  // namespace

const std::string* Frame::Find(absl::string_view name) const {
  for (const Header& header : headers) {
    if (header.name == name) return &header.value;
  }
  return nullptr;
}

void Frame::Add(absl::string_view name, absl::string_view value) {
  headers.push_back({std::string(name), std::string(value)});
}

void AppendHeader(absl::string_view name, absl::string_view value, StompVersion version,
                  std::string* out) {
  AppendEscaped(name, version, out);
  out->push_back(':');
  AppendEscaped(value, version, out);
  out->push_back('\n');
}

std::string Encode(const Frame& frame, StompVersion version) {
  if (frame.command == "CONNECT" || frame.command == "CONNECTED") version = StompVersion::k10;
  size_t size = frame.command.size() + frame.body.size() + 40;
  for (const Header& header : frame.headers) size += header.name.size() + header.value.size() + 2;
  std::string out;
  out.reserve(size);
  absl::StrAppend(&out, frame.command, "\n");
  for (const Header& header : frame.headers) {
    AppendHeader(header.name, header.value, version, &out);
  }
  if (!frame.body.empty() && frame.Find("content-length") == nullptr) {
    absl::StrAppend(&out, "content-length:", frame.body.size(), "\n");
  }
  out.push_back('\n');
  out.append(frame.body);
  out.push_back('\0');
  return out;
}

}  // namespace orch::bus
