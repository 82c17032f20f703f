// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "target/expression.h"

// From text to tree. Everything here is pure; every error is InvalidArgument and begins with
// `column N: `, except for a text that is too long.

namespace orch::target {

// What all texts of one target may cost together; each Parse call takes its part out of it.
struct Budget {
  int terms_left = kExpressionTermsMax;
  size_t regex_left = kRegexTotalMax;
  size_t regex_weight_left = kRegexWeightMax;

  // All regular expressions of a target together: their instructions, and what compiling them may
  // cost (Regex::Weight).
  static constexpr size_t kRegexTotalMax = 32 << 10;
  static constexpr size_t kRegexWeightMax = 32 << 10;
};

// `role=web and not (country=de or nginx)`: -S.
absl::StatusOr<ExpressionPtr> ParseExpression(absl::string_view text, Budget* budget);

// `os.family = Debian`: -F. The first operator separates; the rest, trimmed, is the value as it
// stands.
absl::StatusOr<ExpressionPtr> ParseFact(absl::string_view text, Budget* budget);

// `nginx` or `/^ng/`: -C, -A, -I. Exactly one of the two is set.
struct Pattern {
  std::string exact;
  std::string source;  // of `like`, without slashes
  std::shared_ptr<const Regex> like;
};
absl::StatusOr<Pattern> ParsePattern(absl::string_view text, Budget* budget);

}  // namespace orch::target
