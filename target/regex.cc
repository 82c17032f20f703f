// SPDX-License-Identifier: Apache-2.0
#include "target/regex.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace orch::target {
namespace {

re2::RE2::Options Options() {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_never_capture(true);
  options.set_max_mem(kRegexMemoryMax);
  return options;
}

// What stands for a byte of an ordinary pattern in Weight.
constexpr size_t kUnicodeClassWeight = 128, kCopiesInByte = 16;

// Whether the character at `at` follows a backslash that is none itself.
bool IsEscaped(absl::string_view pattern, size_t at) {
  size_t backslashes = 0;
  while (backslashes < at && pattern[at - 1 - backslashes] == '\\') ++backslashes;
  return backslashes % 2 == 1;
}

// Where in `pattern` the fragment stands that RE2 complains about. It does not say, and the
// fragment may stand elsewhere too, where it is in order.
size_t Offset(absl::string_view pattern, absl::string_view fragment, bool operand_missing) {
  if (fragment.empty()) return 0;
  // An unclosed bracket is named with all that follows.
  if (fragment[0] == '[' && absl::EndsWith(pattern, fragment)) {
    return pattern.size() - fragment.size();
  }
  size_t first = absl::string_view::npos;
  for (size_t at = pattern.find(fragment); at != absl::string_view::npos;
       at = pattern.find(fragment, at + 1)) {
    if (IsEscaped(pattern, at)) continue;
    first = std::min(first, at);
    if (!operand_missing || at == 0) return at;
    const char before = pattern[at - 1];
    if ((before == '(' || before == '|' || before == ')') && !IsEscaped(pattern, at - 1)) return at;
  }
  return first == absl::string_view::npos ? 0 : first;
}

}  // namespace

size_t Regex::Weight(absl::string_view pattern) {
  size_t weight = pattern.size();
  size_t copies = 0;
  for (size_t i = 0; i + 1 < pattern.size(); ++i) {
    if (pattern[i] == '\\' && (pattern[i + 1] == 'p' || pattern[i + 1] == 'P')) {
      weight += kUnicodeClassWeight;
    }
    // `{3,900}`: the numbers behind the brace and the comma.
    if (pattern[i] != '{' && pattern[i] != ',') continue;
    size_t count = 0;
    for (size_t at = i + 1; at < pattern.size() && absl::ascii_isdigit(pattern[at]); ++at) {
      count = std::min<size_t>(count * 10 + (pattern[at] - '0'), 1000);  // RE2 takes no more
    }
    copies += count;
  }
  return weight + copies / kCopiesInByte;
}

Regex::Regex(absl::string_view pattern)
    : re_(re2::StringPiece(pattern.data(), pattern.size()), Options()),
      size_(re_.ok() ? re_.ProgramSize() : 0) {}

absl::StatusOr<std::shared_ptr<const Regex>> Regex::Compile(absl::string_view pattern,
                                                            size_t* offset) {
  auto regex = std::make_shared<const Regex>(pattern);
  if (regex->re_.ok()) return regex;
  if (offset != nullptr) {
    *offset = Offset(pattern, regex->re_.error_arg(),
                     regex->re_.error_code() == re2::RE2::ErrorRepeatArgument);
  }
  return absl::InvalidArgumentError(absl::StrCat("bad regular expression: ", regex->re_.error()));
}

bool Regex::Matches(absl::string_view text) const {
  return re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), re_);
}

}  // namespace orch::target
