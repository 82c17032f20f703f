// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <algorithm>

#include "absl/strings/strip.h"

namespace orch::base {
namespace {

constexpr absl::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD
constexpr absl::string_view kBom = "\xef\xbb\xbf";          // U+FEFF

// Whether `c` is a byte inside a character and not its first one.
bool IsUtf8Continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

}  // namespace

size_t Utf8Length(absl::string_view text, size_t at, char32_t* out) {
  if (at >= text.size()) return 0;
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) {
    if (out != nullptr) *out = first;
    return 1;
  }
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() - at < length) return 0;
  char32_t code = first & (0xff >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if (!IsUtf8Continuation(text[at + i])) return 0;
    code = (code << 6) | (byte(at + i) & 0x3f);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (overlong || surrogate || code > 0x10ffff) return 0;
  if (out != nullptr) *out = code;
  return length;
}

size_t Utf8Characters(absl::string_view text) {
  size_t characters = 0;
  for (size_t at = 0; at < text.size(); ++characters) {
    at += std::max<size_t>(Utf8Length(text, at), 1);
  }
  return characters;
}

bool IsUtf8(absl::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = Utf8Length(text, at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

absl::string_view CutUtf8(absl::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  size_t end = bytes_max;
  // A character has three continuation bytes at most: a longer run of them is no text, and cut
  // anywhere.
  for (int back = 0; back < 3 && end > 0 && IsUtf8Continuation(text[end]); ++back) --end;
  return text.substr(0, IsUtf8Continuation(text[end]) ? bytes_max : end);
}

std::string ToUtf8(absl::string_view text, size_t bytes_max) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t length = Utf8Length(text, at);
    const absl::string_view character = length == 0 ? kReplacement : text.substr(at, length);
    if (out.size() + character.size() > bytes_max) break;
    out.append(character.data(), character.size());
    at += length == 0 ? 1 : length;
  }
  return out;
}

absl::string_view SkipBom(absl::string_view text) { return absl::StripPrefix(text, kBom); }

}  // namespace orch::base
