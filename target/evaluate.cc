// SPDX-License-Identifier: Apache-2.0

// A target is decided on facts that the node's owner chose, by an expression that a caller chose,
// on a strand that must not stop. So everything that walks over values spends Work, and when that
// is used up the answer is kUnknown, which a node takes for "not me". What can't be answered is
// never silently false: a `not` in front of it would make it true and start Puppet on a node that
// could not tell. A call is answered once for each evaluation, so that it says the same in every
// clause, and also where another operand has decided already, so that a call that can't be answered
// counts wherever it stands.

#include "target/evaluate.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/text.h"
#include "target/compare.h"

namespace orch::target {
namespace {

using nlohmann::json;
using Kind = Expression::Kind;

constexpr char kTooLong[] = "deciding this target on these facts takes too long";
// What a reason quotes of a name or a pattern.
constexpr size_t kNameShown = 128;
// What looking at a name costs.
constexpr size_t kNameWork = 4;

Truth Of(bool value) { return value ? Truth::kTrue : Truth::kFalse; }

absl::string_view Group(absl::string_view action) { return action.substr(0, action.find('.')); }

// class(), action() and collective() are true or false and have no fields.
absl::StatusOr<json> YesOrNo(const Call& call, Truth truth) {
  if (!call.field.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(call.name, "() has no field \"", call.field, "\""));
  }
  if (truth == Truth::kUnknown) return absl::UnavailableError("not known");
  return json(truth == Truth::kTrue);
}

}  // namespace

Truth Evaluation::Evaluate(const Expression& expression) {
  switch (expression.kind) {
    case Kind::kOr:
      return Chain(expression, Truth::kTrue);
    case Kind::kAnd:
      return Chain(expression, Truth::kFalse);
    case Kind::kNot: {
      const Truth inner = Evaluate(*expression.children[0]);
      return inner == Truth::kUnknown ? inner : Of(inner == Truth::kFalse);
    }
    case Kind::kClass:
      return HasClass(expression.name);
    case Kind::kClassLike:
      return HasClassLike(expression);
    case Kind::kFact:
      return CompareFact(expression.name, expression.comparison);
    case Kind::kCall:
      return CompareCall(expression);
  }
  return Truth::kFalse;
}

// kTrue decides an `or`, kFalse an `and`; else one kUnknown leaves it unknown. Calls are made even
// behind a child that decides, so that what can't be answered never depends on the order of the
// clauses.
Truth Evaluation::Chain(const Expression& expression, Truth decides) {
  Truth out = decides == Truth::kTrue ? Truth::kFalse : Truth::kTrue;
  for (const ExpressionPtr& child : expression.children) {
    if (out == decides && !child->has_call) continue;
    const Truth truth = Evaluate(*child);
    if (out == decides) continue;
    if (truth == decides || truth == Truth::kUnknown) out = truth;
  }
  return out;
}

Truth Evaluation::HasClass(const std::string& name) {
  const std::vector<std::string>* classes = node_.classes();
  if (classes == nullptr) return Unavailable("classes are not known");
  if (!work_.Spend(kNameWork * classes->size())) return Failed(kTooLong);
  return Of(std::find(classes->begin(), classes->end(), name) != classes->end());
}

Truth Evaluation::HasClassLike(const Expression& expression) {
  const std::vector<std::string>* classes = node_.classes();
  if (classes == nullptr) return Unavailable("classes are not known");
  for (const std::string& name : *classes) {
    const Truth truth = Matches(*expression.comparison.regex, name);
    if (truth != Truth::kFalse) return truth;
  }
  return Truth::kFalse;
}

std::string Evaluation::FindClassLike(const Expression& expression) {
  const std::vector<std::string>* classes = node_.classes();
  if (classes == nullptr) return "";
  for (const std::string& name : *classes) {
    if (Matches(*expression.comparison.regex, name) == Truth::kTrue) return name;
  }
  return "";
}

Truth Evaluation::HasAction(const Pattern& pattern) {
  const std::vector<std::string>* actions = node_.actions();
  if (actions == nullptr) return Unavailable("actions are not known");
  for (const std::string& name : *actions) {
    if (!work_.Spend(kNameWork)) return Failed(kTooLong);
    const absl::string_view group = Group(name);
    Truth truth = Of(pattern.like == nullptr && (name == pattern.exact || group == pattern.exact));
    if (pattern.like != nullptr) {
      truth = Matches(*pattern.like, name);
      if (truth == Truth::kFalse) truth = Matches(*pattern.like, group);
    }
    if (truth != Truth::kFalse) return truth;
  }
  return Truth::kFalse;
}

Truth Evaluation::HasIdentity(const Pattern& pattern) {
  if (pattern.like == nullptr) return Of(node_.identity() == pattern.exact);
  return Matches(*pattern.like, node_.identity());
}

Truth Evaluation::CompareFact(const std::string& path, const Comparison& comparison) {
  const json* facts = node_.facts();
  if (facts == nullptr) return Unavailable("facts are not known");
  const json* value = Find(*facts, path);
  if (work_.exhausted()) return Truth::kUnknown;
  if (value == nullptr) return missing_is_unknown_ ? Truth::kUnknown : Truth::kFalse;
  return CompareValue(*value, comparison, path);
}

const json* Evaluation::Find(const json& facts, absl::string_view path) {
  const json* value = FindFact(facts, path, &work_);
  if (work_.exhausted()) Failed(kTooLong);
  return value;
}

Truth Evaluation::CompareValue(const json& value, const Comparison& comparison,
                               absl::string_view what) {
  const Truth truth = Compare(value, comparison, &work_);
  if (truth != Truth::kUnknown) return truth;
  return Failed(comparison.regex == nullptr
                    ? std::string(kTooLong)
                    : absl::StrCat("matching ", base::CutUtf8(what, kNameShown), " with /",
                                   base::CutUtf8(comparison.text, kNameShown), "/ takes too long"));
}

Truth Evaluation::Matches(const Regex& regex, absl::string_view text) {
  if (!work_.Spend(regex.WorkFor(text.size()))) {
    return Failed("matching names with a regular expression takes too long");
  }
  return Of(regex.Matches(text));
}

absl::StatusOr<json> Evaluation::AnswerHere(const Call& call) {
  if (call.name == "fact") {
    const bool exists = call.field == "exists";
    if (!exists && !call.field.empty() && call.field != "value") {
      return absl::InvalidArgumentError(
          absl::StrCat("fact() has exists and value, not \"", call.field, "\""));
    }
    const json* facts = node_.facts();
    if (facts == nullptr) return absl::UnavailableError("facts are not known");
    const json* value = Find(*facts, call.argument);
    if (work_.exhausted()) return absl::ResourceExhaustedError(failure_);
    if (exists) return json(value != nullptr);
    return value == nullptr ? json() : *value;
  }
  if (call.name == "class") return YesOrNo(call, HasClass(call.argument));
  if (call.name == "action") return YesOrNo(call, HasAction(Pattern{call.argument, "", nullptr}));
  if (call.name == "collective") {
    const std::vector<std::string>& all = node_.collectives();
    return YesOrNo(call, Of(std::find(all.begin(), all.end(), call.argument) != all.end()));
  }
  return absl::NotFoundError("");
}

absl::StatusOr<json> Evaluation::Answer(const Call& call) {
  absl::StatusOr<json> here = AnswerHere(call);
  if (!absl::IsNotFound(here.status())) return here;
  // Each is asked once, so that what it says is the same in every clause.
  const std::array<std::string, 3> key = {call.name, call.argument, call.field};
  if (const auto known = answers_.find(key); known != answers_.end()) return known->second;
  if (answers_.size() == kNodeCallsMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", kNodeCallsMax, " different calls in a target"));
  }
  return answers_.emplace(key, node_.Answer(call)).first->second;
}

Truth Evaluation::CompareCall(const Expression& expression) {
  const Call& call = expression.call;
  // A fact may be large: it is looked at where it is.
  if (IsFactValue(call)) return CompareFact(call.argument, expression.comparison);
  const absl::StatusOr<json> answer = Answer(call);
  if (absl::IsUnavailable(answer.status())) return Unavailable(answer.status().message());
  const std::string name = absl::StrCat(call.name, "()");
  if (!answer.ok()) {
    const absl::string_view why = answer.status().message();
    return Failed(absl::StrContains(why, name) ? std::string(why) : absl::StrCat(name, ": ", why));
  }
  if (answer->is_null()) return missing_is_unknown_ ? Truth::kUnknown : Truth::kFalse;
  return CompareValue(*answer, expression.comparison, name);
}

Truth Evaluation::Unavailable(absl::string_view what) {
  if (unavailable_.empty()) unavailable_ = std::string(what);
  return Truth::kUnknown;
}

Truth Evaluation::Failed(std::string why) {
  if (failure_.empty()) failure_ = std::move(why);
  return Truth::kUnknown;
}

}  // namespace orch::target
