// SPDX-License-Identifier: Apache-2.0
#include "target/explain.h"

#include "absl/strings/str_cat.h"
#include "target/print.h"

namespace orch::target {
namespace {

using Kind = Expression::Kind;

// How values are ordered, where that is not what one would think. `7.9` may be meant as a version
// of two parts, which a value of three, `7.23.0`, is not compared with as a version.
absl::string_view InOrder(const Comparison& comparison) {
  if (comparison.versions) return "";
  switch (comparison.number.kind()) {
    case Number::Kind::kNone:
      return " in byte order";
    case Number::Kind::kVersion:
      return ", in byte order where it is no version of three parts or more";
    case Number::Kind::kDecimal:
      return comparison.text.find('.') == std::string::npos
                 ? ""
                 : ", in byte order where it is no plain number";
  }
  return "";
}

std::string ExplainComparison(const Comparison& comparison) {
  const bool number = comparison.number.kind() != Number::Kind::kNone;
  const std::string text = comparison.versions ? absl::StrCat("version ", comparison.text)
                                               : absl::StrCat("\"", comparison.text, "\"");
  const std::string bound = number && !comparison.versions ? comparison.text : text;
  const absl::string_view in_order = InOrder(comparison);
  switch (comparison.op) {
    case Operator::kEqual:
      return absl::StrCat("is ", text);
    case Operator::kNotEqual:
      return absl::StrCat("is there and not ", text);
    case Operator::kLess:
      return absl::StrCat("is less than ", bound, in_order);
    case Operator::kAtMost:
      return absl::StrCat("is at most ", bound, in_order);
    case Operator::kGreater:
      return absl::StrCat("is greater than ", bound, in_order);
    case Operator::kAtLeast:
      return absl::StrCat("is at least ", bound, in_order);
    case Operator::kMatches:
      return absl::StrCat("matches /", comparison.text, "/");
    case Operator::kNotMatches:
      return absl::StrCat("is there and does not match /", comparison.text, "/");
  }
  return "";
}

std::string ExplainChild(const Expression& child) {
  const bool chain = child.kind == Kind::kAnd || child.kind == Kind::kOr;
  return chain ? absl::StrCat("(", ExplainExpression(child), ")") : ExplainExpression(child);
}

}  // namespace

std::string ExplainExpression(const Expression& expression) {
  switch (expression.kind) {
    case Kind::kOr:
    case Kind::kAnd: {
      std::string out;
      for (const ExpressionPtr& child : expression.children) {
        if (!out.empty()) absl::StrAppend(&out, expression.kind == Kind::kOr ? " or " : " and ");
        absl::StrAppend(&out, ExplainChild(*child));
      }
      return out;
    }
    case Kind::kNot:
      return absl::StrCat("not ", ExplainChild(*expression.children[0]));
    case Kind::kClass:
      return absl::StrCat("class ", expression.name);
    case Kind::kClassLike:
      return absl::StrCat("a class matching /", expression.comparison.text, "/");
    case Kind::kFact:
      return absl::StrCat("fact ", expression.name, " ", ExplainComparison(expression.comparison));
    case Kind::kCall: {
      const Call& call = expression.call;
      return absl::StrCat(call.name, "(", call.argument, ")", call.field.empty() ? "" : ".",
                          call.field, " ", ExplainComparison(expression.comparison));
    }
  }
  return "";
}

std::string ExplainPattern(const Pattern& pattern) {
  return pattern.like == nullptr ? pattern.exact
                                 : absl::StrCat("one matching /", pattern.source, "/");
}

}  // namespace orch::target
