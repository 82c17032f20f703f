// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "target/expression.h"

// Parses the texts of a target into expressions. Every error is InvalidArgument and begins with
// `column N: `, except for a text that is too long. Pure.

namespace orch::target {

// What all texts of one target may cost together. Each call of Parse… takes its part out of the
// budget.
struct Budget {
  int terms_left = kExpressionTermsMax;
  size_t regex_left = kRegexTotalMax;
  size_t regex_weight_left = kRegexWeightMax;

  // All regular expressions of a target together: their instructions, and what compiling them may
  // cost (Regex::Weight).
  static constexpr size_t kRegexTotalMax = 32 << 10;
  static constexpr size_t kRegexWeightMax = 32 << 10;
};

// Parses the argument of -S: `role=web and not (country=de or nginx)`.
absl::StatusOr<ExpressionPtr> ParseExpression(absl::string_view text, Budget* budget);

// Parses the argument of -F: `os.family = Debian`. The first operator separates; what follows it,
// trimmed, is the value as it stands.
absl::StatusOr<ExpressionPtr> ParseFact(absl::string_view text, Budget* budget);

// `nginx` or `/^ng/`: -C, -A, -I. Exactly one of the two is set.
struct Pattern {
  std::string exact;
  std::string source;  // of `like`, without slashes
  std::shared_ptr<const Regex> like;
};
absl::StatusOr<Pattern> ParsePattern(absl::string_view text, Budget* budget);

}  // namespace orch::target
