// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include "absl/strings/string_view.h"
#include "target/expression.h"

// The rules by which a value is compared (docs/targets.md, "Facts").

namespace orch::target {

// The value at a dotted path: at each step a key that itself contains the following dots is
// preferred, and a number indexes an array. Null if there is none; JSON null counts as none.
const nlohmann::json* FindFact(const nlohmann::json& facts, absl::string_view path);

// How much work one evaluation may spend on regular expressions, in bytes of text times size of
// pattern: so much that no real fact comes near, so little that it is over in some 50 ms.
inline constexpr size_t kMatchWorkMax = 16 << 20;

// kUnknown if `*work_left` did not suffice. An array is true if any element is, a map if any key
// is; null never is.
Truth Compare(const nlohmann::json& value, const Comparison& comparison, size_t* work_left);

}  // namespace orch::target
