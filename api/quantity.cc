// SPDX-License-Identifier: Apache-2.0
#include "api/quantity.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "api/errors.h"
#include "base/text.h"

namespace orch::api {
namespace {

constexpr size_t kTextMax = 16;
// Of a percent; whole numbers of them are exact where doubles are not.
constexpr uint64_t kThousandths = 1000;

absl::Status Bad(absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("expected a number of nodes above 0 or a percentage such as 25%, found \"",
                   base::CutUtf8(text, kTextMax), "\""));
}

bool ParseDigits(absl::string_view text, uint32_t* out) {
  return !text.empty() && text.find_first_not_of("0123456789") == absl::string_view::npos &&
         absl::SimpleAtoi(text, out);
}

// A percentage in thousandths of a percent; 0: it is none.
uint64_t ThousandthsOf(double percent) {
  if (!(percent > 0 && percent <= 100)) return 0;
  return static_cast<uint64_t>(std::llround(percent * kThousandths));
}

}  // namespace

absl::StatusOr<orch::v1::Quantity> ParseQuantity(absl::string_view text) {
  orch::v1::Quantity out;
  absl::string_view rest = absl::StripAsciiWhitespace(text);
  if (rest.size() > kTextMax) return Bad(rest);
  if (!absl::ConsumeSuffix(&rest, "%")) {
    uint32_t count = 0;
    if (!ParseDigits(rest, &count) || count == 0) return Bad(text);
    out.set_count(count);
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
  const uint64_t all = uint64_t{whole} * kThousandths + thousandths;
  if (all == 0 || all > 100 * kThousandths) return Bad(text);
  out.set_percent(static_cast<double>(all) / kThousandths);
  return out;
}

std::string QuantityText(const orch::v1::Quantity& quantity) {
  switch (quantity.value_case()) {
    case orch::v1::Quantity::kCount:
      return absl::StrCat(quantity.count());
    case orch::v1::Quantity::kPercent:
      return absl::StrCat(quantity.percent(), "%");
    case orch::v1::Quantity::VALUE_NOT_SET:
      break;
  }
  return "";
}

absl::StatusOr<uint32_t> ResolveQuantity(const orch::v1::Quantity& quantity, uint32_t of,
                                         absl::string_view field) {
  switch (quantity.value_case()) {
    case orch::v1::Quantity::kCount:
      if (quantity.count() == 0) return BadField(field, "count must be above 0");
      return std::min(quantity.count(), of);
    case orch::v1::Quantity::kPercent: {
      const uint64_t thousandths = ThousandthsOf(quantity.percent());
      if (thousandths == 0) return BadField(field, "percent must be above 0 and at most 100");
      if (of == 0) return 0u;
      const uint64_t part = of * thousandths / (100 * kThousandths);
      return static_cast<uint32_t>(std::max<uint64_t>(1, part));
    }
    case orch::v1::Quantity::VALUE_NOT_SET:
      break;
  }
  return BadField(field, "has neither count nor percent");
}

}  // namespace orch::api
