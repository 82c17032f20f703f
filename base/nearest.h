// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

// What somebody may have meant who wrote a word that is not known. Pure; works on bytes.

namespace orch::base {

// In how many steps one text becomes the other, where a step adds, drops or replaces a byte or
// swaps two neighbours (Damerau-Levenshtein, optimal string alignment).
size_t EditDistance(absl::string_view a, absl::string_view b);

// The word of `known` that is nearest to `word`: at most two steps away (one, if it has up to three
// bytes), or else the shortest that begins with it. Empty: none is near.
std::string Nearest(absl::string_view word, const std::vector<std::string>& known);

}  // namespace orch::base
