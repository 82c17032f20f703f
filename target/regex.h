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
  // How long matching a byte can take at worst, in arbitrary units.
  size_t size() const { return size_; }

  explicit Regex(absl::string_view pattern);  // use Compile
 private:
  const re2::RE2 re_;
  const size_t size_;
};

inline constexpr int64_t kRegexMemoryMax = 256 << 10;  // bytes, for program and matching together

}  // namespace orch::target
