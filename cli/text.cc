// SPDX-License-Identifier: Apache-2.0
#include "cli/text.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/text.h"

namespace orch::cli {
namespace {

struct Range {
  char32_t first, last;
};

// East Asian wide and fullwidth characters and pictures (Unicode's EastAsianWidth.txt, in whole
// blocks).
constexpr Range kWide[] = {
    {0x1100, 0x115F},   {0x231A, 0x231B},   {0x2329, 0x232A},   {0x23E9, 0x23EC},
    {0x2E80, 0x303E},   {0x3041, 0xA4CF},   {0xA960, 0xA97F},   {0xAC00, 0xD7A3},
    {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},
    {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};
// Combining marks of the scripts that have most of them.
constexpr Range kCombining[] = {
    {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x0610, 0x061A},
    {0x064B, 0x065F}, {0x0E31, 0x0E31}, {0x0E34, 0x0E3A}, {0x0E47, 0x0E4E},
    {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x20D0, 0x20FF}, {0x302A, 0x302D},
    {0x3099, 0x309A}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xE0100, 0xE01EF}};
// What is not seen, or makes something else be seen.
constexpr Range kTreacherous[] = {{0x00, 0x1F},     {0x7F, 0x9F},      {0xAD, 0xAD},
                                  {0x061C, 0x061C}, {0x180E, 0x180E},  {0x200B, 0x200F},
                                  {0x2028, 0x202E}, {0x2060, 0x206F},  {0xFEFF, 0xFEFF},
                                  {0xFFF9, 0xFFFB}, {0xE0000, 0xE007F}};

template <size_t N>
bool In(const Range (&ranges)[N], char32_t c) {
  return std::any_of(std::begin(ranges), std::end(ranges),
                     [c](const Range& r) { return r.first <= c && c <= r.last; });
}

size_t ColumnsOf(char32_t c) { return In(kCombining, c) ? 0 : In(kWide, c) ? 2 : 1; }

// Takes the digits at the start of `text`, without leading zeros.
absl::string_view TakeDigits(absl::string_view* text) {
  size_t end = 0;
  while (end < text->size() && absl::ascii_isdigit((*text)[end])) ++end;
  absl::string_view digits = text->substr(0, end);
  text->remove_prefix(end);
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
  return digits;
}

}  // namespace

std::string Safe(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    char32_t c = 0;
    const size_t size = base::Utf8Length(text, 0, &c);
    if (size == 0) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned char>(text[0]));
    } else if (c == '\n' || c == '\t') {
      out += ' ';
    } else if (!In(kTreacherous, c)) {
      out.append(text.data(), size);
    } else if (c < 0x80) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned>(c));
    } else {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned>(c));
    }
    text.remove_prefix(std::max<size_t>(size, 1));
  }
  return out;
}

size_t Columns(absl::string_view text) {
  size_t n = 0;
  while (!text.empty()) {
    char32_t c = 0;
    const size_t size = std::max<size_t>(base::Utf8Length(text, 0, &c), 1);
    if (c == 0x1B) {  // our own colours take no room
      text.remove_prefix(std::min(text.find('m'), text.size() - 1) + 1);
      continue;
    }
    n += ColumnsOf(c);
    text.remove_prefix(size);
  }
  return n;
}

std::string Padded(const std::string& text, size_t width) {
  const size_t columns = Columns(text);
  return columns >= width ? text : text + std::string(width - columns, ' ');
}

std::string Cut(absl::string_view text, size_t width, absl::string_view mark) {
  if (Columns(text) <= width) return std::string(text);
  const size_t mark_columns = Columns(mark);
  if (mark_columns > width) return Cut(mark, width, "");
  const size_t room = width - mark_columns;
  size_t taken = 0, columns = 0;
  while (taken < text.size()) {
    char32_t c = 0;
    const size_t size = std::max<size_t>(base::Utf8Length(text, taken, &c), 1);
    if (c == 0x1B) {  // our own colours take no room
      taken = std::min(text.find('m', taken), text.size() - 1) + 1;
      continue;
    }
    if (columns + ColumnsOf(c) > room) break;
    columns += ColumnsOf(c);
    taken += size;
  }
  return absl::StrCat(text.substr(0, taken), mark);
}

std::string Bar(size_t part, size_t whole, size_t room, bool unicode) {
  if (!unicode) return std::string(std::max<size_t>(1, part * room / whole), '#');
  static const char* const kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const size_t eighths = std::max<size_t>(1, part * room * 8 / whole);
  std::string bar;
  for (size_t i = 0; i < eighths / 8; ++i) bar += "█";
  return bar + kEighths[eighths % 8];
}

bool NaturalLess(absl::string_view a, absl::string_view b) {
  const absl::string_view whole_a = a, whole_b = b;
  while (!a.empty() && !b.empty()) {
    if (absl::ascii_isdigit(a[0]) && absl::ascii_isdigit(b[0])) {
      const absl::string_view left = TakeDigits(&a), right = TakeDigits(&b);
      if (left.size() != right.size()) return left.size() < right.size();
      if (left != right) return left < right;
      continue;
    }
    if (a[0] != b[0]) return static_cast<unsigned char>(a[0]) < static_cast<unsigned char>(b[0]);
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  if (a.empty() != b.empty()) return a.empty();
  return whole_a < whole_b;  // `01` and `1`
}

}  // namespace orch::cli
