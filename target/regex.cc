// SPDX-License-Identifier: Apache-2.0
#include "target/regex.h"

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

}  // namespace

Regex::Regex(absl::string_view pattern)
    : re_(re2::StringPiece(pattern.data(), pattern.size()), Options()),
      size_(re_.ok() ? re_.ProgramSize() : 0) {}

absl::StatusOr<std::shared_ptr<const Regex>> Regex::Compile(absl::string_view pattern,
                                                            size_t* offset) {
  auto regex = std::make_shared<const Regex>(pattern);
  if (regex->re_.ok()) return regex;
  const std::string& fragment = regex->re_.error_arg();
  if (offset != nullptr) {
    const size_t found = fragment.empty() ? 0 : pattern.find(fragment);
    *offset = found == absl::string_view::npos ? 0 : found;
  }
  return absl::InvalidArgumentError(absl::StrCat("bad regular expression: ", regex->re_.error()));
}

bool Regex::Matches(absl::string_view text) const {
  return re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), re_);
}

}  // namespace orch::target
