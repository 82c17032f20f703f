// SPDX-License-Identifier: Apache-2.0
#include "target/lexer.h"

#include "absl/strings/str_cat.h"
#include "base/text.h"

namespace orch::target {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool IsWordChar(char c) {
  return !IsSpace(c) && absl::string_view("()=!<>~\"'").find(c) == absl::string_view::npos;
}

}  // namespace

absl::Status ColumnError(absl::string_view text, size_t byte, absl::string_view what) {
  const size_t column = base::Utf8Characters(text.substr(0, byte)) + 1;
  return absl::InvalidArgumentError(absl::StrCat("column ", column, ": ", what));
}

absl::Status CheckText(absl::string_view text) {
  if (text.size() > kExpressionBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("longer than ", kExpressionBytesMax, " bytes (", text.size(), ")"));
  }
  return CheckCharacters(text);
}

absl::Status CheckCharacters(absl::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t length = base::Utf8Length(text, i);
    if (length == 0) return ColumnError(text, i, "not valid UTF-8");
    const unsigned char c = text[i];
    if ((c < 0x20 && !IsSpace(text[i])) || c == 0x7F) {
      return ColumnError(text, i, absl::StrCat("a control character (", static_cast<int>(c), ")"));
    }
    i += length;
  }
  return absl::OkStatus();
}

bool IsKeyword(absl::string_view word) { return word == "and" || word == "or" || word == "not"; }

bool IsWord(absl::string_view text) {
  if (text.empty() || text[0] == '/') return false;
  for (const char c : text) {
    if (!IsWordChar(c)) return false;
  }
  return true;
}

OperatorPrefix OperatorAt(absl::string_view text) {
  const char first = text.empty() ? '\0' : text[0];
  const char second = text.size() < 2 ? '\0' : text[1];
  switch (first) {
    case '=':
      if (second == '=') return {Operator::kEqual, 2};
      if (second == '~') return {Operator::kMatches, 2};
      if (second == '>') return {Operator::kAtLeast, 2};
      if (second == '<') return {Operator::kAtMost, 2};
      return {Operator::kEqual, 1};
    case '!':
      if (second == '=') return {Operator::kNotEqual, 2};
      if (second == '~') return {Operator::kNotMatches, 2};
      return {};
    case '<':
      return second == '=' ? OperatorPrefix{Operator::kAtMost, 2}
                           : OperatorPrefix{Operator::kLess, 1};
    case '>':
      return second == '=' ? OperatorPrefix{Operator::kAtLeast, 2}
                           : OperatorPrefix{Operator::kGreater, 1};
    default:
      return {};
  }
}

absl::Status Lexer::Error(size_t byte, absl::string_view what) const {
  return ColumnError(text_, byte, what);
}

std::string Lexer::Name(const Token& token) const {
  if (token.kind == Token::Kind::kEnd) return "the end";
  return absl::StrCat("\"", text_.substr(token.begin, token.end - token.begin), "\"");
}

absl::StatusOr<Token> Lexer::Next() {
  const size_t before = at_;
  while (at_ < text_.size() && IsSpace(text_[at_])) ++at_;
  Token token;
  token.begin = token.end = at_;
  token.glued = at_ == before && at_ > 0;
  if (at_ == text_.size()) return token;
  const char c = text_[at_];
  if (c == '"' || c == '\'') return Quoted(token);
  if (c == '/') return Slashed(token);
  if (const OperatorPrefix found = OperatorAt(text_.substr(at_)); found.length > 0) {
    token.kind = Token::Kind::kOperator;
    token.op = found.op;
    at_ += found.length;
  } else if (IsWordChar(c)) {
    while (at_ < text_.size() && IsWordChar(text_[at_])) ++at_;
    token.kind = Token::Kind::kWord;
    token.text = std::string(text_.substr(token.begin, at_ - token.begin));
  } else if (c == '~') {
    return Error(at_, "\"~\" is no operator; there are = == != < <= > >= =~ !~");
  } else {
    token.kind = c == '(' ? Token::Kind::kOpen : c == ')' ? Token::Kind::kClose : Token::Kind::kNot;
    ++at_;
  }
  token.end = at_;
  return token;
}

// A backslash takes away the meaning of the quote and of another backslash; before anything else it
// stays, so that a regular expression in quotes needs no doubled backslashes.
absl::StatusOr<Token> Lexer::Quoted(Token token) {
  const char quote = text_[at_++];
  for (; at_ < text_.size() && text_[at_] != quote; ++at_) {
    const bool escape = text_[at_] == '\\' && at_ + 1 < text_.size() &&
                        (text_[at_ + 1] == quote || text_[at_ + 1] == '\\');
    if (escape) ++at_;
    token.text.push_back(text_[at_]);
  }
  if (at_ == text_.size()) {
    return Error(token.begin,
                 absl::StrCat("the quote ", std::string(1, quote), " is never closed"));
  }
  token.kind = Token::Kind::kQuoted;
  token.end = ++at_;
  return token;
}

absl::StatusOr<Token> Lexer::Slashed(Token token) {
  for (++at_; at_ < text_.size() && text_[at_] != '/'; ++at_) {
    if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
  }
  if (at_ >= text_.size()) {
    return Error(token.begin,
                 "the regular expression is never closed by \"/\"; a path needs quotes: \"/srv\"");
  }
  token.kind = Token::Kind::kRegex;
  token.text = std::string(text_.substr(token.begin + 1, at_ - token.begin - 1));
  token.end = ++at_;
  if (token.text.empty()) return Error(token.begin, "an empty regular expression");
  return token;
}

}  // namespace orch::target
