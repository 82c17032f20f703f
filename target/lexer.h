// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "target/expression.h"

// Splits an expression into tokens. Pure.

namespace orch::target {

struct Token {
  enum class Kind { kWord, kQuoted, kRegex, kOperator, kNot, kOpen, kClose, kEnd };
  Kind kind = Kind::kEnd;
  std::string text;  // kWord; kQuoted without quotes and escapes; kRegex without slashes
  Operator op = Operator::kEqual;  // kOperator
  size_t begin = 0;                // bytes
  size_t end = 0;
  bool glued = false;  // nothing between it and the token before
};

class Lexer {
 public:
  // `text` must outlive the lexer and have passed CheckText.
  explicit Lexer(absl::string_view text) : text_(text) {}

  // InvalidArgument with the column: an unterminated quote or regex, a character that begins
  // nothing.
  absl::StatusOr<Token> Next();

  // The error `column 14: <what>` for a byte of the text; columns count characters from 1.
  absl::Status Error(size_t byte, absl::string_view what) const;
  // What errors call a token: `"or"`, `the end`.
  std::string Name(const Token& token) const;

 private:
  absl::StatusOr<Token> Quoted(Token token);
  absl::StatusOr<Token> Slashed(Token token);

  const absl::string_view text_;
  size_t at_ = 0;
};

// The longest operator that `text` begins with, and its length; length 0: none.
struct OperatorPrefix {
  Operator op = Operator::kEqual;
  size_t length = 0;
};
OperatorPrefix OperatorAt(absl::string_view text);

// Whether a text can be part of the language at all: at most kExpressionBytesMax bytes of UTF-8
// without control characters other than tab and line ends. InvalidArgument says what is wrong.
absl::Status CheckText(absl::string_view text);
// Checks the same without the limit of bytes.
absl::Status CheckCharacters(absl::string_view text);

// The error `column 14: <what>` for a byte of a text that is not cut into tokens.
absl::Status ColumnError(absl::string_view text, size_t byte, absl::string_view what);

// Whether a word is reserved: and, or, not.
bool IsKeyword(absl::string_view word);
// Whether a text can stand as a word, without quotes.
bool IsWord(absl::string_view text);

}  // namespace orch::target
