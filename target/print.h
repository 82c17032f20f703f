// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "target/expression.h"

// Prints expressions, so that parsing the text gives the same expression again.

namespace orch::target {

// Prints an expression as -S takes it: `role=web and not (country=de or nginx)`.
std::string PrintExpression(const Expression& expression);
// Prints a kFact as -F takes it: `note=x=y`.
std::string PrintFact(const Expression& fact);
// Writes a word for a POSIX shell, in quotes only where it needs them.
std::string ShellQuote(absl::string_view word);
// `=`, `!~`, …
absl::string_view OperatorText(Operator op);

}  // namespace orch::target
