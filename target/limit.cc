// SPDX-License-Identifier: Apache-2.0
#include "target/limit.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/text.h"

namespace orch::target {
namespace {

constexpr uint64_t kAll = 100'000;
constexpr size_t kTextMax = 16;

absl::Status Bad(absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("expected a number of nodes above 0 or a percentage such as 25%, found \"",
                   base::CutUtf8(text, kTextMax), "\""));
}

bool ParseDigits(absl::string_view text, uint32_t* out) {
  return !text.empty() && text.find_first_not_of("0123456789") == absl::string_view::npos &&
         absl::SimpleAtoi(text, out);
}

}  // namespace

absl::StatusOr<Limit> Limit::Parse(absl::string_view text) {
  Limit out;
  absl::string_view rest = absl::StripAsciiWhitespace(text);
  if (rest.size() > kTextMax) return Bad(rest);
  if (!absl::ConsumeSuffix(&rest, "%")) {
    if (!ParseDigits(rest, &out.count_) || out.count_ == 0) return Bad(text);
    return out;
  }
  const size_t dot = rest.find('.');
  uint32_t whole = 0;
  if (!ParseDigits(rest.substr(0, dot), &whole) || whole > 100) return Bad(text);
  uint32_t thousandths = 0;
  if (dot != absl::string_view::npos) {
    std::string fraction(rest.substr(dot + 1));
    if (fraction.empty() || fraction.size() > 3) return Bad(text);
    fraction.resize(3, '0');
    if (!ParseDigits(fraction, &thousandths)) return Bad(text);
  }
  out.thousandths_ = uint64_t{whole} * 1000 + thousandths;
  if (out.thousandths_ == 0 || out.thousandths_ > kAll) return Bad(text);
  return out;
}

size_t Limit::Of(size_t total) const {
  if (count_ > 0) return std::min<size_t>(count_, total);
  if (total == 0) return 0;
  return std::max<size_t>(1, total * thousandths_ / kAll);
}

}  // namespace orch::target
