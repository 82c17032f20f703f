// SPDX-License-Identifier: Apache-2.0
#include "target/print.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "target/lexer.h"

namespace orch::target {
namespace {

using Kind = Expression::Kind;

std::string Quote(absl::string_view text) {
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"\"", "\\\""}}), "\"");
}

// Whether `/pattern/` reads back as this pattern.
bool FitsBetweenSlashes(absl::string_view pattern) {
  size_t i = 0;
  for (; i < pattern.size() && pattern[i] != '/'; ++i) {
    if (pattern[i] == '\\') ++i;
  }
  return !pattern.empty() && i == pattern.size();
}

std::string PrintPattern(absl::string_view pattern) {
  if (pattern.empty()) return "\"\"";
  const std::string slashed = absl::StrCat("/", pattern, "/");
  return FitsBetweenSlashes(pattern) ? slashed : Quote(slashed);
}

std::string PrintComparison(const Comparison& comparison) {
  if (comparison.regex != nullptr) {
    return absl::StrCat(OperatorText(comparison.op), PrintPattern(comparison.text));
  }
  const bool plain = IsWord(comparison.text) && !IsKeyword(comparison.text);
  return absl::StrCat(OperatorText(comparison.op),
                      plain ? comparison.text : Quote(comparison.text));
}

// A chain below another expression always gets parentheses: where they change nothing they spare
// the reader a thought.
std::string PrintChild(const Expression& child) {
  const bool chain = child.kind == Kind::kAnd || child.kind == Kind::kOr;
  return chain ? absl::StrCat("(", PrintExpression(child), ")") : PrintExpression(child);
}

}  // namespace

absl::string_view OperatorText(Operator op) {
  switch (op) {
    case Operator::kEqual:
      return "=";
    case Operator::kNotEqual:
      return "!=";
    case Operator::kLess:
      return "<";
    case Operator::kAtMost:
      return "<=";
    case Operator::kGreater:
      return ">";
    case Operator::kAtLeast:
      return ">=";
    case Operator::kMatches:
      return "=~";
    case Operator::kNotMatches:
      return "!~";
  }
  return "=";
}

std::string PrintExpression(const Expression& expression) {
  switch (expression.kind) {
    case Kind::kOr:
    case Kind::kAnd: {
      std::string out;
      for (const ExpressionPtr& child : expression.children) {
        if (!out.empty()) absl::StrAppend(&out, expression.kind == Kind::kOr ? " or " : " and ");
        absl::StrAppend(&out, PrintChild(*child));
      }
      return out;
    }
    case Kind::kNot:
      return absl::StrCat("not ", PrintChild(*expression.children[0]));
    case Kind::kClass:
      return expression.name;
    case Kind::kClassLike:
      return absl::StrCat("/", expression.comparison.text, "/");
    case Kind::kFact:
      return absl::StrCat(expression.name, PrintComparison(expression.comparison));
    case Kind::kCall: {
      const Call& call = expression.call;
      return absl::StrCat(call.name, "(", call.argument.empty() ? "" : Quote(call.argument), ")",
                          call.field.empty() ? "" : ".", call.field,
                          PrintComparison(expression.comparison));
    }
  }
  return "";
}

std::string PrintFact(const Expression& fact) {
  const Comparison& comparison = fact.comparison;
  std::string value = comparison.text;
  if (comparison.regex != nullptr) {
    if (!value.empty()) value = absl::StrCat("/", value, "/");
  } else if (!value.empty() && absl::StrContains("=~<>", value.substr(0, 1))) {
    // So that the operator ends where it should.
    value = absl::StrCat(" ", value);
  }
  return absl::StrCat(fact.name, OperatorText(comparison.op), value);
}

std::string ShellQuote(absl::string_view word) {
  const auto is_safe = [](char c) {
    return absl::ascii_isalnum(c) ||
           absl::string_view("._:/=,@%+-").find(c) != absl::string_view::npos;
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), is_safe)) return std::string(word);
  if (word.find_first_of("\"$`\\!") == absl::string_view::npos) {
    return absl::StrCat("\"", word, "\"");
  }
  return absl::StrCat("'", absl::StrReplaceAll(word, {{"'", "'\\''"}}), "'");
}

}  // namespace orch::target
