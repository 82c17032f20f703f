// SPDX-License-Identifier: Apache-2.0

// Every text of a target comes from a caller and is parsed on controller and node, so its cost is
// bounded before anything is built: bytes, nesting, terms, and for regular expressions their weight
// before they are compiled and their size after. The Budget is shared by all texts of a target,
// else many small clauses would cost what one large one may not. Errors point to a column in
// characters, since an operator sees characters and not bytes.

#include "target/parse.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "target/lexer.h"

namespace orch::target {
namespace {

using Node = std::unique_ptr<Expression>;

// Text from slash to slash, with something between them.
bool IsSlashed(absl::string_view text) {
  return text.size() >= 3 && absl::StartsWith(text, "/") && absl::EndsWith(text, "/");
}

absl::string_view WithoutSlashes(absl::string_view text) {
  return IsSlashed(text) ? text.substr(1, text.size() - 2) : text;
}

bool IsCallName(absl::string_view name) {
  for (const char c : name) {
    if (!absl::ascii_isalnum(c) && c != '_') return false;
  }
  return !name.empty();
}

absl::Status TakeTerm(absl::string_view text, size_t byte, Budget* budget) {
  if (budget->terms_left-- > 0) return absl::OkStatus();
  return ColumnError(text, byte, absl::StrCat("more than ", kExpressionTermsMax, " terms"));
}

// `byte` is where the pattern begins in `text`.
absl::StatusOr<std::shared_ptr<const Regex>> BuildRegex(absl::string_view pattern,
                                                        absl::string_view text, size_t byte,
                                                        Budget* budget) {
  const auto too_large = [&] {
    return ColumnError(text, byte, "the regular expressions of this target are too large together");
  };
  const size_t weight = Regex::Weight(pattern);
  if (weight > budget->regex_weight_left) return too_large();
  budget->regex_weight_left -= weight;
  size_t offset = 0;
  absl::StatusOr<std::shared_ptr<const Regex>> regex = Regex::Compile(pattern, &offset);
  if (!regex.ok()) return ColumnError(text, byte + offset, regex.status().message());
  if ((*regex)->size() > budget->regex_left) return too_large();
  budget->regex_left -= (*regex)->size();
  return regex;
}

// What stands right of an operator: `slashed` if it was written /so/.
struct Value {
  std::string text;
  bool slashed = false;
  size_t byte = 0;
};

absl::StatusOr<Comparison> BuildComparison(Operator op, Value value, absl::string_view text,
                                           Budget* budget) {
  Comparison out;
  const bool wants_regex = op == Operator::kMatches || op == Operator::kNotMatches;
  if (!wants_regex && !value.slashed) {
    out.op = op;
    out.number = Number::Parse(value.text);
    out.text = std::move(value.text);
    return out;
  }
  if (op != Operator::kEqual && op != Operator::kNotEqual && !wants_regex) {
    return ColumnError(text, value.byte, "a regular expression is neither less nor greater");
  }
  const bool matches = op == Operator::kEqual || op == Operator::kMatches;
  out.op = matches ? Operator::kMatches : Operator::kNotMatches;
  ORCH_ASSIGN_OR_RETURN(out.regex, BuildRegex(value.text, text, value.byte, budget));
  out.text = std::move(value.text);
  return out;
}

// Recursive descent, one token ahead; one function for each line of the grammar in docs/targets.md.
class Parser {
 public:
  Parser(absl::string_view text, Budget* budget) : text_(text), budget_(budget), lexer_(text) {}

  absl::StatusOr<ExpressionPtr> Parse() {
    ORCH_RETURN_IF_ERROR(Advance());
    ORCH_ASSIGN_OR_RETURN(Node root, Or());
    if (token_.kind != Token::Kind::kEnd) return Expected("\"and\", \"or\" or the end");
    return root;
  }

 private:
  absl::Status Advance() {
    ORCH_ASSIGN_OR_RETURN(token_, lexer_.Next());
    return absl::OkStatus();
  }

  absl::Status Expected(absl::string_view what) const {
    return lexer_.Error(token_.begin,
                        absl::StrCat("expected ", what, ", found ", lexer_.Name(token_)));
  }

  bool AtKeyword(absl::string_view word) const {
    return token_.kind == Token::Kind::kWord && token_.text == word;
  }

  absl::StatusOr<Node> Or() { return Chain(Expression::Kind::kOr, "or", &Parser::And); }
  absl::StatusOr<Node> And() { return Chain(Expression::Kind::kAnd, "and", &Parser::Not); }

  absl::StatusOr<Node> Chain(Expression::Kind kind, absl::string_view keyword,
                             absl::StatusOr<Node> (Parser::*operand)()) {
    ORCH_ASSIGN_OR_RETURN(Node first, (this->*operand)());
    if (!AtKeyword(keyword)) return first;
    auto chain = std::make_unique<Expression>();
    chain->kind = kind;
    chain->has_call = first->has_call;
    chain->children.push_back(std::move(first));
    while (AtKeyword(keyword)) {
      ORCH_RETURN_IF_ERROR(Advance());
      ORCH_ASSIGN_OR_RETURN(Node next, (this->*operand)());
      chain->has_call = chain->has_call || next->has_call;
      chain->children.push_back(std::move(next));
    }
    return chain;
  }

  absl::StatusOr<Node> Not() {
    if (token_.kind != Token::Kind::kNot && !AtKeyword("not")) return Operand();
    ORCH_RETURN_IF_ERROR(Enter());
    ORCH_RETURN_IF_ERROR(Advance());
    ORCH_ASSIGN_OR_RETURN(Node inner, Not());
    --level_;
    auto out = std::make_unique<Expression>();
    out->kind = Expression::Kind::kNot;
    out->has_call = inner->has_call;
    out->children.push_back(std::move(inner));
    return out;
  }

  absl::Status Enter() {
    if (++level_ <= kExpressionLevelsMax) return absl::OkStatus();
    return lexer_.Error(token_.begin,
                        absl::StrCat("nested deeper than ", kExpressionLevelsMax, " levels"));
  }

  absl::StatusOr<Node> Operand() {
    if (token_.kind != Token::Kind::kOpen) return Atom();
    ORCH_RETURN_IF_ERROR(Enter());
    ORCH_RETURN_IF_ERROR(Advance());
    ORCH_ASSIGN_OR_RETURN(Node inner, Or());
    --level_;
    if (token_.kind != Token::Kind::kClose) return Expected("\"and\", \"or\" or \")\"");
    ORCH_RETURN_IF_ERROR(Advance());
    return inner;
  }

  absl::StatusOr<Node> Atom() {
    const bool regex = token_.kind == Token::Kind::kRegex;
    const bool word = token_.kind == Token::Kind::kWord && !IsKeyword(token_.text);
    if (!regex && !word) return Expected("a fact, class or \"(\"");
    ORCH_RETURN_IF_ERROR(TakeTerm(text_, token_.begin, budget_));
    const Token first = token_;
    ORCH_RETURN_IF_ERROR(Advance());
    auto out = std::make_unique<Expression>();
    if (regex) {
      out->kind = Expression::Kind::kClassLike;
      ORCH_ASSIGN_OR_RETURN(
          out->comparison,
          BuildComparison(Operator::kMatches, {first.text, true, first.begin + 1}, text_, budget_));
      return out;
    }
    out->name = first.text;
    if (token_.kind == Token::Kind::kOperator) {
      out->kind = Expression::Kind::kFact;
      ORCH_ASSIGN_OR_RETURN(out->comparison, OperatorAndValue());
    } else if (token_.kind == Token::Kind::kOpen && token_.glued) {
      return CallOf(first, std::move(out));
    }
    return out;
  }

  // After the name: "(" [ 'arg' ] ")" [ "." field ] OP value.
  absl::StatusOr<Node> CallOf(const Token& name, Node out) {
    if (!IsCallName(name.text)) {
      return lexer_.Error(name.begin, absl::StrCat("\"", name.text, "\" can't name a call"));
    }
    out->kind = Expression::Kind::kCall;
    out->has_call = true;
    out->call.name = std::exchange(out->name, "");
    ORCH_RETURN_IF_ERROR(Advance());
    if (token_.kind == Token::Kind::kQuoted) {
      out->call.argument = token_.text;
      ORCH_RETURN_IF_ERROR(Advance());
      if (token_.kind != Token::Kind::kClose) return Expected("\")\"");
    } else if (token_.kind != Token::Kind::kClose) {
      return Expected("an argument in quotes or \")\"");
    }
    ORCH_RETURN_IF_ERROR(Advance());
    const bool field = token_.kind == Token::Kind::kWord && token_.glued && token_.text[0] == '.';
    if (field) {
      out->call.field = token_.text.substr(1);
      if (!IsCallName(out->call.field)) return Expected("a field such as .enabled");
      ORCH_RETURN_IF_ERROR(Advance());
    }
    if (token_.kind != Token::Kind::kOperator) {
      return Expected(field ? "an operator such as =" : "a field such as .enabled, or an operator");
    }
    ORCH_ASSIGN_OR_RETURN(out->comparison, OperatorAndValue());
    if (out->call.name == "version") {
      const bool fits = out->call.field == "value" && !out->call.argument.empty() &&
                        out->comparison.regex == nullptr;
      if (!fits) {
        return lexer_.Error(name.begin,
                            "version() is written version('path').value, and compared with a text");
      }
      out->comparison.versions = true;
    }
    return out;
  }

  absl::StatusOr<Comparison> OperatorAndValue() {
    const Operator op = token_.op;
    ORCH_RETURN_IF_ERROR(Advance());
    Value value{token_.text, token_.kind == Token::Kind::kRegex, token_.begin};
    // The text of a word begins where the token does, that of the others behind the quote or slash.
    if (token_.kind == Token::Kind::kQuoted || value.slashed) {
      ++value.byte;
    } else if (token_.kind != Token::Kind::kWord) {
      return Expected("a value");
    }
    if (op == Operator::kMatches || op == Operator::kNotMatches) {
      if (!value.slashed) value.text = std::string(WithoutSlashes(value.text));
    }
    ORCH_RETURN_IF_ERROR(Advance());
    return BuildComparison(op, std::move(value), text_, budget_);
  }

  const absl::string_view text_;
  Budget* const budget_;
  Lexer lexer_;
  Token token_;  // the one ahead
  int level_ = 0;
};

}  // namespace

absl::StatusOr<ExpressionPtr> ParseExpression(absl::string_view text, Budget* budget) {
  ORCH_RETURN_IF_ERROR(CheckText(text));
  return Parser(text, budget).Parse();
}

absl::StatusOr<ExpressionPtr> ParseFact(absl::string_view text, Budget* budget) {
  ORCH_RETURN_IF_ERROR(CheckText(text));
  size_t at = 0;
  while (at < text.size() && OperatorAt(text.substr(at)).length == 0) ++at;
  if (at == text.size()) {
    return ColumnError(text, at, "expected an operator such as =, found the end");
  }
  const OperatorPrefix found = OperatorAt(text.substr(at));
  auto out = std::make_unique<Expression>();
  out->kind = Expression::Kind::kFact;
  out->name = std::string(absl::StripAsciiWhitespace(text.substr(0, at)));
  if (out->name.empty()) return ColumnError(text, at, "expected a fact before the operator");
  const size_t stray = text.find_first_of("!~");
  if (stray < at) return ColumnError(text, stray, "the name of a fact has neither ! nor ~");
  ORCH_RETURN_IF_ERROR(TakeTerm(text, 0, budget));

  const absl::string_view rest = absl::StripAsciiWhitespace(text.substr(at + found.length));
  const bool any_regex = found.op == Operator::kMatches || found.op == Operator::kNotMatches;
  Value value;
  value.slashed = IsSlashed(rest);
  value.text = std::string(WithoutSlashes(rest));
  value.byte = rest.empty() ? text.size() : rest.data() - text.data() + (value.slashed ? 1 : 0);
  // For `<` the error is the same as in an expression; a lone operator before /…/ never means text.
  value.slashed = value.slashed || any_regex;
  ORCH_ASSIGN_OR_RETURN(out->comparison, BuildComparison(found.op, std::move(value), text, budget));
  return out;
}

absl::StatusOr<Pattern> ParsePattern(absl::string_view text, Budget* budget) {
  ORCH_RETURN_IF_ERROR(CheckText(text));
  const absl::string_view trimmed = absl::StripAsciiWhitespace(text);
  if (trimmed.empty()) return ColumnError(text, 0, "expected a name or /regex/, found the end");
  Pattern out;
  if (!IsSlashed(trimmed)) {
    out.exact = std::string(trimmed);
    return out;
  }
  ORCH_RETURN_IF_ERROR(TakeTerm(text, 0, budget));
  const absl::string_view inner = WithoutSlashes(trimmed);
  out.source = std::string(inner);
  ORCH_ASSIGN_OR_RETURN(out.like, BuildRegex(inner, text, inner.data() - text.data(), budget));
  return out;
}

}  // namespace orch::target
