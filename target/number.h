// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/string_view.h"

namespace orch::target {

// A text read as a number, if it is one: `42`, `-1.5`, `+0.25` (a plain decimal number: no
// exponent, no hexadecimal, no octal: `010` is ten) or `1.2.10` (a version: two dots or more).
// Decimals are exact, of any length.
class Number {
 public:
  enum class Kind { kNone, kDecimal, kVersion };

  Number() = default;
  static Number Parse(absl::string_view text);
  // The value of a JSON number; a fraction is taken with the shortest digits that stand for it.
  static Number Of(const nlohmann::json& number);

  Kind kind() const { return kind_; }
  // Less than zero, zero or more, as a < b, a = b or a > b. Both must be of the same kind, and not
  // kNone. A version that another one continues comes before it: 1.2.3 < 1.2.3.0.
  static int Compare(const Number& a, const Number& b);

 private:
  static int CompareVersions(absl::string_view a, absl::string_view b);

  Kind kind_ = Kind::kNone;
  bool negative_ = false;  // never of zero
  std::string whole_;      // kDecimal: without leading zeros; kVersion: the whole text
  std::string fraction_;   // without trailing zeros
};

}  // namespace orch::target
