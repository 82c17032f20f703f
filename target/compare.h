// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include "absl/strings/string_view.h"
#include "target/expression.h"

// The rules by which a value is compared (docs/targets.md, "Facts").

namespace orch::target {

// What one evaluation may cost, in units of at most some 9 ns: so much that no real target and no
// real facts come near, so little that it is over in 50 ms whatever they are
// (test/fuzz/target_times_test measures it).
class Work {
 public:
  static constexpr size_t kMax = 4 << 20;

  explicit Work(size_t units = kMax) : left_(units) {}
  // False if there is not so much left. What needed it is then unknown, and nothing but cheaper
  // things can follow.
  bool Spend(size_t units) {
    if (units > left_) exhausted_ = true;
    if (exhausted_) return false;
    left_ -= units;
    return true;
  }
  bool exhausted() const { return exhausted_; }

 private:
  size_t left_;
  bool exhausted_ = false;
};

// The value at a dotted path: at each step a key that itself contains the following dots is
// preferred, and a number indexes an array. Null if there is none, or if `work` is exhausted; JSON
// null counts as none.
const nlohmann::json* FindFact(const nlohmann::json& facts, absl::string_view path, Work* work);
// The same for one look, with a budget of its own.
const nlohmann::json* FindFact(const nlohmann::json& facts, absl::string_view path);

// kUnknown if `work` did not suffice. An array is true if any element is, a map if any key is; null
// never is.
Truth Compare(const nlohmann::json& value, const Comparison& comparison, Work* work);

// Whether the order of a value and a bound that is a number or a version is that of their bytes,
// because the value is not the same: 7.23.0 beside 7.9. For explanations.
bool FallsToByteOrder(const nlohmann::json& value, const Comparison& comparison);

}  // namespace orch::target
