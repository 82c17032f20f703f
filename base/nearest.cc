// SPDX-License-Identifier: Apache-2.0
#include "base/nearest.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace orch::base {
namespace {

// What is longer is nobody's slip, and would only cost time.
constexpr size_t kWordMax = 64;

}  // namespace

size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

std::string Nearest(absl::string_view word, const std::vector<std::string>& known) {
  if (word.size() > kWordMax) return "";
  size_t best = word.size() <= 3 ? 2 : 3;  // one more than is near
  std::string found;
  for (const std::string& candidate : known) {
    const size_t distance = EditDistance(word, candidate);
    if (distance >= best) continue;
    best = distance;
    found = candidate;
  }
  if (!found.empty() || word.size() < 2) return found;
  for (const std::string& candidate : known) {
    if (absl::StartsWith(candidate, word) && (found.empty() || candidate.size() < found.size()))
      found = candidate;
  }
  return found;
}

}  // namespace orch::base
