// SPDX-License-Identifier: Apache-2.0
#include "target/number.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"

namespace orch::target {
namespace {

// The largest finite double has 309 digits, the smallest one 324 zeros and 17 digits behind the
// point.
constexpr size_t kDoubleDigitsMax = 400;

bool AllDigits(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

std::string WithoutLeadingZeros(absl::string_view digits) {
  const size_t start = digits.find_first_not_of('0');
  return start == absl::string_view::npos ? "" : std::string(digits.substr(start));
}

int CompareWhole(absl::string_view a, absl::string_view b) {
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  return a.compare(b);
}

}  // namespace

Number Number::Parse(absl::string_view text) {
  Number out;
  absl::string_view digits = text;
  const bool negative = absl::ConsumePrefix(&digits, "-");
  if (!negative) absl::ConsumePrefix(&digits, "+");
  const size_t dot = digits.find('.');
  const absl::string_view whole = digits.substr(0, dot);
  if (!AllDigits(whole)) return out;
  if (dot == absl::string_view::npos || AllDigits(digits.substr(dot + 1))) {
    out.kind_ = Kind::kDecimal;
    out.whole_ = WithoutLeadingZeros(whole);
    if (dot != absl::string_view::npos) {
      const absl::string_view fraction = digits.substr(dot + 1);
      out.fraction_ = std::string(fraction.substr(0, fraction.find_last_not_of('0') + 1));
    }
    out.negative_ = negative && !(out.whole_.empty() && out.fraction_.empty());
    return out;
  }
  // A version: no sign, and every part between the dots is digits.
  if (digits.size() != text.size()) return out;
  for (absl::string_view rest = text;;) {
    const size_t next = rest.find('.');
    if (!AllDigits(rest.substr(0, next))) return out;
    if (next == absl::string_view::npos) break;
    rest.remove_prefix(next + 1);
  }
  out.kind_ = Kind::kVersion;
  out.whole_ = std::string(text);
  return out;
}

Number Number::Of(const nlohmann::json& number) {
  if (number.is_number_integer()) return Parse(number.dump());
  if (!number.is_number_float()) return Number();
  char buffer[kDoubleDigitsMax];
  const std::to_chars_result end =
      std::to_chars(buffer, buffer + sizeof buffer, number.get<double>(), std::chars_format::fixed);
  return Parse(absl::string_view(buffer, end.ptr - buffer));
}

int Number::Compare(const Number& a, const Number& b) {
  if (a.kind_ == Kind::kVersion) return CompareVersions(a.whole_, b.whole_);
  if (a.negative_ != b.negative_) return a.negative_ ? -1 : 1;
  int order = CompareWhole(a.whole_, b.whole_);
  // Digits behind the point compare as text once trailing zeros are gone.
  if (order == 0) order = a.fraction_.compare(b.fraction_);
  return a.negative_ ? -order : order;
}

int Number::CompareVersions(absl::string_view a, absl::string_view b) {
  for (;;) {
    const size_t a_dot = a.find('.');
    const size_t b_dot = b.find('.');
    const int order = CompareWhole(WithoutLeadingZeros(a.substr(0, a_dot)),
                                   WithoutLeadingZeros(b.substr(0, b_dot)));
    if (order != 0) return order;
    const bool a_ends = a_dot == absl::string_view::npos;
    const bool b_ends = b_dot == absl::string_view::npos;
    if (a_ends || b_ends) return static_cast<int>(b_ends) - static_cast<int>(a_ends);
    a.remove_prefix(a_dot + 1);
    b.remove_prefix(b_dot + 1);
  }
}

}  // namespace orch::target
