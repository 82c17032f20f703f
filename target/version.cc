// SPDX-License-Identifier: Apache-2.0
#include "target/version.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace orch::target {
namespace {

// How kinds of parts are ordered among each other.
enum class Part { kDash, kDot, kOther };

Part KindOf(absl::string_view part) {
  return part[0] == '-' ? Part::kDash : part[0] == '.' ? Part::kDot : Part::kOther;
}

bool IsSeparator(char c) { return c == '-' || c == '.'; }

// Takes the first part off; empty at the end.
absl::string_view TakePart(absl::string_view* text) {
  size_t size = std::min<size_t>(text->size(), 1);
  if (size == 1 && !IsSeparator(text->front())) {
    const bool digits = absl::ascii_isdigit(text->front());
    while (size < text->size() && !IsSeparator((*text)[size]) &&
           absl::ascii_isdigit((*text)[size]) == digits) {
      ++size;
    }
  }
  const absl::string_view part = text->substr(0, size);
  text->remove_prefix(size);
  return part;
}

int Sign(bool less, bool more) { return static_cast<int>(more) - static_cast<int>(less); }

int CompareDigits(absl::string_view a, absl::string_view b) {
  a.remove_prefix(std::min(a.find_first_not_of('0'), a.size()));
  b.remove_prefix(std::min(b.find_first_not_of('0'), b.size()));
  if (a.size() != b.size()) return Sign(a.size() < b.size(), a.size() > b.size());
  return a.compare(b);
}

int CompareOther(absl::string_view a, absl::string_view b) {
  const size_t shared = std::min(a.size(), b.size());
  for (size_t i = 0; i < shared; ++i) {
    const auto left = static_cast<unsigned char>(absl::ascii_toupper(a[i]));
    const auto right = static_cast<unsigned char>(absl::ascii_toupper(b[i]));
    if (left != right) return Sign(left<right, left> right);
  }
  return Sign(a.size() < b.size(), a.size() > b.size());
}

int CompareParts(absl::string_view a, absl::string_view b) {
  const Part left = KindOf(a);
  const Part right = KindOf(b);
  if (left != right) return Sign(left<right, left> right);
  if (left != Part::kOther) return 0;
  const bool digits = absl::ascii_isdigit(a[0]) && absl::ascii_isdigit(b[0]);
  return digits ? CompareDigits(a, b) : CompareOther(a, b);
}

}  // namespace

int CompareVersions(absl::string_view a, absl::string_view b) {
  while (!a.empty() && !b.empty()) {
    const absl::string_view left = TakePart(&a);
    const absl::string_view right = TakePart(&b);
    if (const int order = CompareParts(left, right); order != 0) return order;
  }
  return Sign(a.empty() && !b.empty(), !a.empty() && b.empty());
}

}  // namespace orch::target
