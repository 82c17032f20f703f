// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "target/expression.h"
#include "target/parse.h"

// Expressions in words, for people: `fact role is "web" and not (fact country is "de" or class
// nginx)`.

namespace orch::target {

std::string ExplainExpression(const Expression& expression);
// `nginx` or `one matching /^ng/`.
std::string ExplainPattern(const Pattern& pattern);

}  // namespace orch::target
