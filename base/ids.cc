// SPDX-License-Identifier: Apache-2.0
#include "base/ids.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_split.h"

namespace orch::base {
namespace {

constexpr absl::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

bool AllOf(absl::string_view text, size_t max, bool (*allowed)(char)) {
  return !text.empty() && text.size() <= max && std::all_of(text.begin(), text.end(), allowed);
}

bool LowerOrDigit(char c) { return absl::ascii_islower(c) || absl::ascii_isdigit(c); }

}  // namespace

std::string RandomBytes16() { return SystemRandom()->Bytes(16); }

std::string NewUlid(absl::Time time) {
  static Ulids* const ulids = new Ulids(SystemRandom());
  return ulids->Next(time);
}

std::string Ulids::Next(absl::Time time) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint64_t ms = std::max(last_ms_, static_cast<uint64_t>(absl::ToUnixMillis(time)));
  if (ms != last_ms_) {
    last_random_ = random_->Bytes(10);
    last_random_[0] &= 0x7f;  // room to count up within the millisecond
  } else {
    for (int i = 9; i >= 0 && ++last_random_[i] == 0; --i) {
    }
  }
  last_ms_ = ms;
  std::string bits(16, '\0');
  for (int i = 0; i < 6; ++i) bits[i] = static_cast<char>(ms >> (8 * (5 - i)));
  std::copy(last_random_.begin(), last_random_.end(), bits.begin() + 6);
  // 130 bits in 26 characters: two zero bits, then the 128.
  std::string out(26, '0');
  for (int i = 0; i < 26; ++i) {
    int value = 0;
    for (int b = 0; b < 5; ++b) {
      const int bit = i * 5 + b - 2;
      value <<= 1;
      if (bit >= 0) value |= (static_cast<uint8_t>(bits[bit / 8]) >> (7 - bit % 8)) & 1;
    }
    out[i] = kCrockford[value];
  }
  return out;
}

bool IsUlid(absl::string_view text) {
  return text.size() == 26 && text[0] <= '7' && std::all_of(text.begin(), text.end(), [](char c) {
           return kCrockford.find(c) != absl::string_view::npos;
         });
}

absl::Time UlidTime(absl::string_view text) {
  if (!IsUlid(text)) return absl::InfinitePast();
  int64_t ms = 0;  // the first ten characters
  for (const char c : text.substr(0, 10)) ms = ms * 32 + static_cast<int64_t>(kCrockford.find(c));
  return absl::FromUnixMillis(ms);
}

bool IsIdentity(absl::string_view text) {
  return AllOf(text, 253,
               [](char c) { return LowerOrDigit(c) || c == '.' || c == '_' || c == '-'; }) &&
         text[0] != '.' && text[0] != '-';
}

bool IsCollective(absl::string_view text) {
  return AllOf(text, 32, [](char c) { return LowerOrDigit(c) || c == '_' || c == '-'; });
}

bool IsCaller(absl::string_view text) {
  const size_t equals = text.find('=');
  if (equals == absl::string_view::npos) return false;
  if (!AllOf(text.substr(0, equals), 16, [](char c) { return LowerOrDigit(c); })) return false;
  for (absl::string_view part : absl::StrSplit(text.substr(equals + 1), absl::MaxSplits('/', 1))) {
    if (!AllOf(part, 128, [](char c) {
          return absl::ascii_isalnum(c) ||
                 absl::string_view("._@:-").find(c) != absl::string_view::npos;
        })) {
      return false;
    }
  }
  return true;
}

std::string Hex(absl::string_view bytes) { return absl::BytesToHexString(bytes); }

}  // namespace orch::base
