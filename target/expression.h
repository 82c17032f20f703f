// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "target/node_view.h"
#include "target/number.h"
#include "target/regex.h"

// The tree of a parsed expression. Immutable once parsed, so it may be shared between threads.

namespace orch::target {

// `==` reads as kEqual, `=>` as kAtLeast, `=<` as kAtMost; `=` and `!=` before a /regex/ as
// kMatches and kNotMatches.
enum class Operator {
  kEqual,
  kNotEqual,
  kLess,
  kAtMost,
  kGreater,
  kAtLeast,
  kMatches,
  kNotMatches,
};

// The right-hand side of a comparison, prepared once.
struct Comparison {
  Operator op = Operator::kEqual;
  std::string text;                    // the pattern, without its slashes, where `regex` is set
  std::shared_ptr<const Regex> regex;  // for kMatches and kNotMatches, else null
  Number number;                       // what `text` is as a number, for the other operators
  bool versions = false;               // of version(): both sides are versions (target/version.h)
};

struct Expression {
  enum class Kind {
    kOr,         // children, at least two
    kAnd,        // children, at least two
    kNot,        // one child
    kClass,      // name
    kClassLike,  // comparison.regex
    kFact,       // name (a path), comparison
    kCall,       // call, comparison
  };
  Kind kind = Kind::kClass;
  std::vector<std::unique_ptr<const Expression>> children;
  std::string name;
  Call call;
  Comparison comparison;
  // Whether this expression or one below it is a call. Such an expression is evaluated even where
  // its siblings have decided already, because a call that can't be answered counts in any case.
  bool has_call = false;
};

using ExpressionPtr = std::unique_ptr<const Expression>;

// What an expression may cost at most. Every limit is checked while parsing, before anything is
// built.
inline constexpr size_t kExpressionBytesMax = 4096;
inline constexpr int kExpressionLevelsMax = 64;
inline constexpr int kExpressionTermsMax = 256;

}  // namespace orch::target
