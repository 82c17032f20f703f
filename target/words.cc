// SPDX-License-Identifier: Apache-2.0
#include "target/words.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "target/lexer.h"

namespace orch::target {
namespace {

// A class pattern may contain operator characters (`/a|b=c/`), a fact has its operator behind a
// name.
bool IsFact(absl::string_view word) {
  if (word.front() == '/' && word.back() == '/' && word.size() > 2) return false;
  for (size_t i = 0; i < word.size(); ++i) {
    if (OperatorAt(word.substr(i)).length > 0) return i > 0;
  }
  return false;
}

}  // namespace

void AddWords(absl::string_view text, orch::v1::Target* target) {
  for (const absl::string_view word :
       absl::StrSplit(text, absl::ByAnyChar(" \t\r\n"), absl::SkipEmpty())) {
    IsFact(word) ? target->add_facts(std::string(word)) : target->add_classes(std::string(word));
  }
}

orch::v1::Target ParseWords(absl::string_view text) {
  orch::v1::Target out;
  AddWords(text, &out);
  return out;
}

}  // namespace orch::target
