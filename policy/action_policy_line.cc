// SPDX-License-Identifier: Apache-2.0
#include "policy/action_policy_line.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "target/lexer.h"
#include "target/parse.h"
#include "target/print.h"
#include "target/target.h"

namespace orch::policy {
namespace {

constexpr size_t kLineBytesMax = 64 << 10;
constexpr size_t kFieldsRule = 5;        // effect, callers, actions, facts, classes
constexpr size_t kFieldsExpression = 4;  // effect, callers, actions, expression

std::vector<std::string> Words(absl::string_view text) {
  return absl::StrSplit(text, absl::ByAnyChar(" \t"), absl::SkipEmpty());
}

absl::Status CheckLine(absl::string_view line) {
  if (line.size() > kLineBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("longer than ", kLineBytesMax, " bytes"));
  }
  return target::CheckCharacters(line);
}

// Nothing to read: blank, or a comment.
bool IsBlank(absl::string_view line) {
  const absl::string_view text = absl::StripAsciiWhitespace(line);
  return text.empty() || text[0] == '#';
}

// Whether tabs stand so that a field may be missing: some gaps between fields wider than others, or
// tabs at an end. Of five fields none can be missing; of four, one of five columns may: a
// template's empty name would make `allow <name> * * *` a line about everybody.
bool HasEmptyColumn(absl::string_view line) {
  if (absl::StartsWith(line, "\t") || absl::EndsWith(line, "\t")) return true;
  size_t width = 0;  // of the first gap
  for (size_t at = line.find('\t'); at != absl::string_view::npos;) {
    const size_t end = std::min(line.find_first_not_of('\t', at), line.size());
    if (width != 0 && end - at != width) return true;
    width = end - at;
    at = line.find('\t', end);
  }
  return false;
}

absl::StatusOr<Effect> ParseEffect(absl::string_view word) {
  if (word == "allow") return Effect::kAllow;
  if (word == "deny") return Effect::kDeny;
  return absl::InvalidArgumentError(absl::StrCat("expected allow or deny, found \"", word, "\""));
}

absl::StatusOr<PolicyLine> ParseDefault(absl::string_view line) {
  const std::vector<std::string> words = Words(line);
  if (words.size() != 3 || words[1] != "default") {
    return absl::InvalidArgumentError("expected policy default allow or policy default deny");
  }
  PolicyLine out;
  out.kind = PolicyLine::Kind::kDefault;
  ORCH_ASSIGN_OR_RETURN(out.effect, ParseEffect(words[2]));
  return out;
}

// The words of callers or actions; a `*` beside others would quietly mean everybody.
absl::StatusOr<std::vector<std::string>> ParseWords(absl::string_view field,
                                                    absl::string_view name) {
  std::vector<std::string> words = Words(field);
  if (words.empty()) return absl::InvalidArgumentError(absl::StrCat("no ", name));
  const bool any = std::find(words.begin(), words.end(), "*") != words.end();
  if (any && words.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": * stands alone"));
  }
  return words;
}

// One word of a facts or classes field as a term of the target language.
absl::StatusOr<std::string> Term(const std::string& word, absl::string_view name) {
  target::Budget budget;
  if (name == "facts") {
    ORCH_ASSIGN_OR_RETURN(const target::ExpressionPtr fact, target::ParseFact(word, &budget));
    return target::PrintExpression(*fact);
  }
  ORCH_ASSIGN_OR_RETURN(const target::ExpressionPtr term, target::ParseExpression(word, &budget));
  const bool is_class = term->kind == target::Expression::Kind::kClass ||
                        term->kind == target::Expression::Kind::kClassLike;
  if (!is_class) return absl::InvalidArgumentError("is no class");
  return target::PrintExpression(*term);
}

// What a field demands; empty for `*`.
absl::StatusOr<std::string> Demand(absl::string_view field, absl::string_view name) {
  if (field == "*") return std::string();
  if (IsExpression(field)) return absl::StrCat("(", field, ")");
  std::string out;
  for (const std::string& word : Words(field)) {
    if (word == "*") return absl::InvalidArgumentError(absl::StrCat(name, ": * stands alone"));
    absl::StatusOr<std::string> term = Term(word, name);
    if (!term.ok()) return base::Annotate(term.status(), absl::StrCat(name, ": \"", word, "\""));
    absl::StrAppend(&out, out.empty() ? "" : " and ", *term);
  }
  if (out.empty()) return absl::InvalidArgumentError(absl::StrCat(name, ": empty"));
  return out;
}

absl::Status ReadConditions(PolicyLine* line) {
  if (line->expression) {
    if (line->facts != "*") line->where = line->facts;
  } else {
    ORCH_ASSIGN_OR_RETURN(const std::string facts, Demand(line->facts, "facts"));
    ORCH_ASSIGN_OR_RETURN(const std::string classes, Demand(line->classes, "classes"));
    line->where = absl::StrCat(facts, facts.empty() || classes.empty() ? "" : " and ", classes);
  }
  if (line->where.empty()) return absl::OkStatus();
  // The fields by themselves first: parentheses that close across them are an error.
  for (const std::string* field : {&line->facts, &line->classes}) {
    if (!line->expression && !IsExpression(*field)) continue;
    if (field->empty()) continue;
    ORCH_RETURN_IF_ERROR(target::Condition::Compile(*field).status());
  }
  ORCH_ASSIGN_OR_RETURN(target::Condition whole, target::Condition::Compile(line->where));
  line->condition = std::make_shared<const target::Condition>(std::move(whole));
  return absl::OkStatus();
}

}  // namespace

bool IsExpression(absl::string_view field) {
  if (field.find_first_of("\"'(") != absl::string_view::npos) return true;
  const std::vector<std::string> words = Words(field);
  return std::any_of(words.begin(), words.end(), [](const std::string& word) {
    return target::IsKeyword(word) || absl::StartsWith(word, "!");
  });
}

bool IsCallerRegex(absl::string_view word) {
  return word.size() > 2 && absl::StartsWith(word, "/") && absl::EndsWith(word, "/");
}

absl::StatusOr<PolicyLine> ParsePolicyLine(absl::string_view line) {
  ORCH_RETURN_IF_ERROR(CheckLine(line));
  if (IsBlank(line)) return PolicyLine();
  const absl::string_view raw = absl::StripSuffix(line, "\r");
  line = absl::StripTrailingAsciiWhitespace(line);
  if (!Words(line).empty() && Words(line)[0] == "policy") return ParseDefault(line);

  std::vector<std::string> fields = absl::StrSplit(line, '\t', absl::SkipEmpty());
  for (std::string& field : fields) absl::StripAsciiWhitespace(&field);
  if (fields.size() == kFieldsExpression && HasEmptyColumn(raw)) {
    return absl::InvalidArgumentError(
        "four fields and an empty column: one field more would shift all behind it; separate four "
        "fields by one tab each, or all by as many");
  }
  if (fields.size() != kFieldsRule && fields.size() != kFieldsExpression) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected 4 or 5 fields separated by tabs, found ", fields.size()));
  }
  PolicyLine out;
  out.kind = PolicyLine::Kind::kRule;
  ORCH_ASSIGN_OR_RETURN(out.effect, ParseEffect(fields[0]));
  ORCH_ASSIGN_OR_RETURN(out.callers, ParseWords(fields[1], "callers"));
  ORCH_ASSIGN_OR_RETURN(out.actions, ParseWords(fields[2], "actions"));
  out.facts = fields[3];
  out.expression = fields.size() == kFieldsExpression;
  if (!out.expression) out.classes = fields[4];
  ORCH_RETURN_IF_ERROR(ReadConditions(&out));
  return out;
}

absl::StatusOr<GroupLine> ParseGroupLine(absl::string_view line) {
  ORCH_RETURN_IF_ERROR(CheckLine(line));
  GroupLine out;
  if (IsBlank(line)) return out;
  std::vector<std::string> words = Words(absl::StripTrailingAsciiWhitespace(line));
  out.name = words[0];
  const bool fits = std::all_of(out.name.begin(), out.name.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  });
  if (!fits) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", out.name, "\" is no name of a group: letters, digits, . _ and - make one"));
  }
  out.members.assign(words.begin() + 1, words.end());
  return out;
}

}  // namespace orch::policy
