// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include "absl/strings/string_view.h"
#include "target/expression.h"

// How a value of a fact is found and compared (docs/targets.md, "Facts").

namespace orch::target {

// The budget of work of one evaluation, in units of at most some 9 ns. It is so large that no real
// target on real facts comes near it, and so small that every evaluation is over in 50 ms
// (test/fuzz/target_times_test measures it).
class Work {
 public:
  static constexpr size_t kMax = 4 << 20;

  explicit Work(size_t units = kMax) : left_(units) {}
  // Takes `units` of the budget. False: there is not so much left; what needed it is unknown then,
  // and every later call returns false as well.
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
// Does the same with a budget of its own.
const nlohmann::json* FindFact(const nlohmann::json& facts, absl::string_view path);

// Compares a value. An array satisfies a comparison if any element does, a map if any of its keys
// does, null never. kUnknown: `work` did not suffice.
Truth Compare(const nlohmann::json& value, const Comparison& comparison, Work* work);

// Whether the order of a value and a bound that is a number or a version is that of their bytes,
// because the value is not the same: 7.23.0 beside 7.9. For explanations.
bool FallsToByteOrder(const nlohmann::json& value, const Comparison& comparison);

}  // namespace orch::target
