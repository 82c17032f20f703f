// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <re2/re2.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace orch::target {

// A regular expression: RE2 syntax, unanchored, case-sensitive, UTF-8. RE2 never backtracks, and
// takes at most kRegexMemoryMax here, so that a hostile pattern costs little.
class Regex {
 public:
  // InvalidArgument, with RE2's reason, for a bad pattern and for one that would become too large.
  // If `offset` is not null, it is set to the byte of the pattern that the error is about.
  static absl::StatusOr<std::shared_ptr<const Regex>> Compile(absl::string_view pattern,
                                                              size_t* offset = nullptr);

  bool Matches(absl::string_view text) const;
  // How long matching so many bytes can take at worst, in units of Work: RE2 remembers the states
  // it has been in, but a pattern such as (a|b)*a(a|b){20} has so many of them that it works each
  // out anew, for each byte. The smallest have few.
  size_t WorkFor(size_t bytes) const {
    return kMatchWork + (bytes + 1) * (size_ < kFewStates ? 1 : size_);
  }
  // The size of the compiled expression, in RE2's instructions.
  size_t size() const { return size_; }
  // How long compiling a pattern can take at worst, in bytes of an ordinary pattern: a Unicode
  // class is hundreds of ranges, and a repeated part is copied.
  static size_t Weight(absl::string_view pattern);

  explicit Regex(absl::string_view pattern);  // use Compile

 private:
  static constexpr size_t kMatchWork = 24;  // for beginning
  static constexpr size_t kFewStates = 12;

  const re2::RE2 re_;
  const size_t size_;
};

inline constexpr int64_t kRegexMemoryMax = 256 << 10;  // bytes, for program and matching together

}  // namespace orch::target
