// SPDX-License-Identifier: Apache-2.0

// The linter looks for lines that mean something else here than they did to the original, which no
// parser can refuse: they are valid in both. It reads line by line and goes on behind a bad line,
// unlike the loader, so that an operator sees all of them at once; in the end it runs the loader
// too, so that it never calls files good that would then be refused.

#include "policy/lint.h"

#include <algorithm>
#include <functional>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/config.h"
#include "base/status.h"
#include "policy/action_policy_line.h"
#include "policy/native.h"
#include "policy/reach.h"
#include "target/lexer.h"
#include "target/parse.h"
#include "target/print.h"

namespace orch::policy {
namespace {

using target::Expression;
using target::Operator;
using target::Token;

void EachTerm(const Expression& expression, const std::function<void(const Expression&)>& visit) {
  if (expression.children.empty()) visit(expression);
  for (const target::ExpressionPtr& child : expression.children) EachTerm(*child, visit);
}

// `a or b and c`: an `and` behind an `or` in the same parentheses.
bool MixesOrAnd(absl::string_view text) {
  target::Lexer lexer(text);
  std::vector<bool> or_seen = {false};
  for (;;) {
    const absl::StatusOr<Token> token = lexer.Next();
    if (!token.ok() || token->kind == Token::Kind::kEnd) return false;
    if (token->kind == Token::Kind::kOpen) or_seen.push_back(false);
    if (token->kind == Token::Kind::kClose && or_seen.size() > 1) or_seen.pop_back();
    if (token->kind != Token::Kind::kWord) continue;
    if (token->text == "and" && or_seen.back()) return true;
    if (token->text == "or") or_seen.back() = true;
  }
}

bool IsOrdering(Operator op) {
  return op == Operator::kLess || op == Operator::kAtMost || op == Operator::kGreater ||
         op == Operator::kAtLeast;
}

// What the original's numbers were: digits, perhaps with one point between them.
bool IsPlainNumber(const target::Comparison& comparison) {
  const absl::string_view text = comparison.text;
  return comparison.number.kind() == target::Number::Kind::kDecimal && text[0] != '+' &&
         text[0] != '-';
}

class Linter {
 public:
  explicit Linter(const ActionPolicyFiles& files) : files_(files) {}

  std::vector<Finding> Run() {
    CollectCallers();
    for (const auto& [name, text] : files_) {
      if (name == "groups") {
        LintGroups(text);
      } else if (absl::EndsWith(name, ".policy")) {
        LintFile(name, text);
      }
    }
    // What only the files together show.
    const auto rules = ReadActionPolicy(files_, ActionNames::kMapped);
    bool known = rules.ok();
    for (const Finding& finding : out_) known = known || finding.refused;
    if (!known) out_.push_back({"", 0, std::string(rules.status().message()), true, false, false});
    if (rules.ok()) {
      for (Finding& finding : FindUnreachable(rules->groups, rules->rules)) {
        out_.push_back(std::move(finding));
      }
      std::stable_sort(out_.begin(), out_.end(), [](const Finding& a, const Finding& b) {
        return std::tie(a.file, a.line) < std::tie(b.file, b.line);
      });
    }
    return std::move(out_);
  }

 private:
  void Add(absl::string_view file, int line, std::string what, bool refused = false) {
    out_.push_back({std::string(file), line, std::move(what), refused, false, false});
  }

  // Every caller that the files mention, to tell who a line of the original let in besides.
  void CollectCallers() {
    for (const auto& [name, text] : files_) {
      for (const absl::string_view raw : absl::StrSplit(text, '\n')) {
        std::vector<std::string> words;
        if (name == "groups") {
          const absl::StatusOr<GroupLine> line = ParseGroupLine(raw);
          if (!line.ok() || line->name.empty()) continue;
          words = line->members;
          groups_[line->name] = {words.begin(), words.end()};
        } else if (const absl::StatusOr<PolicyLine> line = ParsePolicyLine(raw); line.ok()) {
          words = line->callers;
        }
        for (const std::string& word : words) {
          if (!IsCallerRegex(word) && absl::StrContains(word, "=")) callers_.insert(word);
        }
      }
    }
  }

  void LintGroups(absl::string_view text) {
    int number = 0;
    for (const absl::string_view raw : absl::StrSplit(text, '\n')) {
      ++number;
      const absl::Status status = ParseActionPolicyGroups(raw, "groups").status();
      if (!status.ok()) {
        // Its own line number is that of this one line.
        const absl::string_view why = absl::StripPrefix(status.message(), "groups:1: ");
        Add("groups", number, absl::StrCat("refused: ", why), true);
      }
    }
  }

  void LintFile(const std::string& name, absl::string_view text) {
    const std::string agent(absl::StripSuffix(name, ".policy"));
    if (agent == "default") {
      Add(name, 0,
          "the original used it for agents without a file; here it is about an agent "
          "called default");
    }
    int number = 0;
    for (const absl::string_view raw : absl::StrSplit(text, '\n')) {
      ++number;
      const absl::StatusOr<PolicyLine> line = ParsePolicyLine(raw);
      if (!line.ok()) {
        Add(name, number, absl::StrCat("refused: ", line.status().message()), true);
      } else if (line->kind == PolicyLine::Kind::kRule) {
        LintCallers(name, number, *line);
        LintActions(name, number, agent, *line);
        LintConditions(name, number, *line);
      }
    }
  }

  void LintCallers(const std::string& file, int number, const PolicyLine& line) {
    const std::string field = absl::StrJoin(line.callers, " ");
    std::set<std::string> meant(line.callers.begin(), line.callers.end());
    for (const std::string& word : line.callers) {
      if (IsCallerRegex(word)) {
        Add(file, number, absl::StrCat("caller ", word, " must match a caller from end to end"));
      }
      const auto group = groups_.find(word);
      if (group != groups_.end()) meant.insert(group->second.begin(), group->second.end());
      if (word != "*" && !IsCallerRegex(word) && group == groups_.end() &&
          !absl::StrContains(word, "=")) {
        Add(file, number, absl::StrCat("refused: \"", word, "\" is no group and no caller"), true);
      }
    }
    for (const std::string& caller : callers_) {
      if (meant.count(caller) == 0 && absl::StrContains(field, caller)) {
        Add(file, number,
            absl::StrCat("the original was about ", caller,
                         " too: it looked for the caller anywhere in the field"));
      }
    }
  }

  void LintActions(const std::string& file, int number, const std::string& agent,
                   const PolicyLine& line) {
    for (const std::string& word : line.actions) {
      if (MapAction(agent, word, ActionNames::kMapped).empty()) {
        Add(file, number, absl::StrCat("action ", word, " of ", agent, " has no counterpart here"));
      }
    }
  }

  void LintConditions(const std::string& file, int number, const PolicyLine& line) {
    if (line.expression && line.facts == "*") {
      Add(file, number,
          "four fields with a star: the original looked for a class called *, and the line never "
          "applied; here it applies to every node");
    } else if (line.expression || IsExpression(line.facts)) {
      LintExpression(file, number, line.facts);
    } else if (line.facts != "*") {
      LintFacts(file, number, line.facts);
    }
    if (IsExpression(line.classes)) LintExpression(file, number, line.classes);
  }

  // Words of a facts field: the original compared texts, and knew = < > only.
  void LintFacts(const std::string& file, int number, absl::string_view field) {
    for (const absl::string_view word : absl::StrSplit(field, ' ', absl::SkipEmpty())) {
      target::Budget budget;
      const auto fact = target::ParseFact(word, &budget);
      if (!fact.ok()) continue;
      const Operator op = (*fact)->comparison.op;
      if (op == Operator::kEqual) continue;
      if (op == Operator::kLess || op == Operator::kGreater) {
        Add(file, number,
            absl::StrCat(word,
                         ": the original compared texts here, where 10 is "
                         "less than 9, and took a missing fact for an empty one"));
      } else {
        Add(file, number,
            absl::StrCat(word, ": the original did not know ", target::OperatorText(op), " here"));
      }
    }
  }

  void LintExpression(const std::string& file, int number, absl::string_view text) {
    if (MixesOrAnd(text)) {
      Add(file, number,
          "and binds tighter than or here; the original went from left to right: use "
          "parentheses");
    }
    target::Budget budget;
    const auto expression = target::ParseExpression(text, &budget);
    if (!expression.ok()) return;
    EachTerm(**expression, [&](const Expression& term) {
      if (term.kind == Expression::Kind::kCall) {
        Add(file, number,
            absl::StrCat(term.call.name, "(): a call that a node can't answer denies"));
      }
      if (term.kind != Expression::Kind::kFact) return;
      const Operator op = term.comparison.op;
      const std::string printed = target::PrintExpression(term);
      if (op == Operator::kNotEqual || op == Operator::kNotMatches) {
        Add(file, number,
            absl::StrCat(printed, ": the original knew only = < <= > >= and /regex/"));
      } else if (IsOrdering(op) && !IsPlainNumber(term.comparison)) {
        Add(file, number, absl::StrCat(printed, ": the original compared texts here"));
      }
    });
  }

  const ActionPolicyFiles& files_;
  std::set<std::string> callers_;
  std::map<std::string, std::set<std::string>> groups_;
  std::vector<Finding> out_;
};

}  // namespace

std::vector<Finding> LintActionPolicy(const ActionPolicyFiles& files) {
  return Linter(files).Run();
}

absl::StatusOr<std::vector<Finding>> LintActionPolicyDirectory(const std::string& path) {
  ORCH_ASSIGN_OR_RETURN(const ActionPolicyFiles files, ReadActionPolicyDirectory(path));
  return LintActionPolicy(files);
}

std::vector<Finding> LintNative(absl::string_view text, absl::string_view name) {
  std::vector<std::string> mistakes;
  const NativeRules read = ReadNative(text, name, &mistakes);
  if (mistakes.empty()) return FindUnreachable(read.groups, read.rules);
  std::vector<Finding> out;
  for (const std::string& mistake : mistakes) {
    // `name:line: why`.
    Finding finding{std::string(name), 0, mistake, true, false, false};
    absl::string_view rest = mistake;
    if (absl::ConsumePrefix(&rest, absl::StrCat(name, ":"))) {
      const size_t colon = rest.find(": ");
      if (colon != absl::string_view::npos &&
          absl::SimpleAtoi(rest.substr(0, colon), &finding.line)) {
        rest.remove_prefix(colon + 1);
      }
      finding.what = std::string(absl::StripLeadingAsciiWhitespace(rest));
    }
    out.push_back(std::move(finding));
  }
  return out;
}

absl::StatusOr<std::vector<Finding>> LintNativeFile(const std::string& path) {
  ORCH_ASSIGN_OR_RETURN(const std::string text, base::ReadRightsFile(path));
  return LintNative(text, path);
}

}  // namespace orch::policy
