// SPDX-License-Identifier: Apache-2.0
#include "target/observe.h"

#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/text.h"
#include "target/compare.h"

namespace orch::target {
namespace {

using nlohmann::json;
using Kind = Expression::Kind;

constexpr size_t kAtomsShown = 16;
constexpr size_t kTextShown = 64;         // bytes of one text
constexpr size_t kElementsShown = 8;      // of a list or map, and of actions
constexpr char kMore[] = "\xE2\x80\xA6";  // an ellipsis

// At most kTextShown bytes, never a part of a character.
std::string Cut(absl::string_view text) {
  if (text.size() <= kTextShown) return std::string(text);
  return absl::StrCat(base::CutUtf8(text, kTextShown), kMore);
}

std::string Text(const json& value) {
  if (!value.is_string()) return value.dump();
  return json(Cut(value.get_ref<const std::string&>()))
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

// A list or map within another one is only hinted at.
std::string ValueWords(const json& value) {
  if (!value.is_structured()) return Text(value);
  std::vector<std::string> parts;
  for (auto it = value.begin(); it != value.end() && parts.size() < kElementsShown; ++it) {
    parts.push_back(value.is_object() ? Text(it.key())
                    : it->is_object() ? "{...}"
                    : it->is_array()  ? "[...]"
                                      : Text(*it));
  }
  if (parts.size() < value.size()) parts.push_back(kMore);
  const std::string all = absl::StrJoin(parts, ", ");
  return value.is_array() ? absl::StrCat("a list: [", all, "]")
         : value.empty()  ? "an empty map"
                          : absl::StrCat("a map with the keys ", all);
}

// `name` is how the expression calls it.
std::string Fact(absl::string_view path, absl::string_view name, const Comparison& comparison,
                 Evaluation* evaluation) {
  const json* facts = evaluation->node().facts();
  if (facts == nullptr) return "facts are not known";
  const json* value = evaluation->Find(*facts, path);
  if (value == nullptr) return absl::StrCat("there is no fact ", Cut(path));
  const std::string out = absl::StrCat(Cut(name), " is ", ValueWords(*value));
  if (!FallsToByteOrder(*value, comparison)) return out;
  return absl::StrCat(out, ", compared with ", Cut(comparison.text), " in byte order");
}

std::string Class(const Expression& expression, Evaluation* evaluation) {
  const std::vector<std::string>* classes = evaluation->node().classes();
  if (classes == nullptr) return "classes are not known";
  if (expression.kind == Kind::kClass) {
    const bool has = evaluation->Evaluate(expression) == Truth::kTrue;
    return absl::StrCat("class ", Cut(expression.name), has ? " is there" : " is not there");
  }
  const std::string pattern = Cut(expression.comparison.text);
  const std::string found = evaluation->FindClassLike(expression);
  if (found.empty()) {
    return absl::StrCat("none of ", classes->size(), " classes matches /", pattern, "/");
  }
  return absl::StrCat("class ", Cut(found), " matches /", pattern, "/");
}

std::string Answered(const Expression& expression, Evaluation* evaluation) {
  const Call& call = expression.call;
  const std::string argument = call.argument.empty() ? "" : absl::StrCat("'", call.argument, "'");
  const std::string name =
      absl::StrCat(call.name, "(", Cut(argument), ")", call.field.empty() ? "" : ".", call.field);
  if (IsFactValue(call)) return Fact(call.argument, name, expression.comparison, evaluation);
  const absl::StatusOr<json> answer = evaluation->Answer(call);
  if (absl::IsUnavailable(answer.status())) return absl::StrCat("only the node knows ", name);
  if (!answer.ok()) return absl::StrCat(name, ": ", Cut(answer.status().message()));
  return answer->is_null() ? absl::StrCat(name, " has no value")
                           : absl::StrCat(name, " is ", ValueWords(*answer));
}

std::string Atom(const Expression& expression, Evaluation* evaluation) {
  if (expression.kind == Kind::kFact) {
    return Fact(expression.name, expression.name, expression.comparison, evaluation);
  }
  if (expression.kind == Kind::kCall) return Answered(expression, evaluation);
  return Class(expression, evaluation);
}

void Collect(const Expression& expression, Evaluation* evaluation, std::vector<std::string>* out) {
  if (out->size() > kAtomsShown) return;
  if (expression.children.empty()) {
    std::string atom = Atom(expression, evaluation);
    if (std::find(out->begin(), out->end(), atom) == out->end()) out->push_back(std::move(atom));
  }
  for (const ExpressionPtr& child : expression.children) Collect(*child, evaluation, out);
}

}  // namespace

std::string Observe(const Expression& expression, Evaluation* evaluation) {
  std::vector<std::string> atoms;
  Collect(expression, evaluation, &atoms);
  if (atoms.size() > kAtomsShown) atoms.back() = kMore;
  return absl::StrJoin(atoms, "; ");
}

std::string ObserveActions(const NodeView& node) {
  const std::vector<std::string>* actions = node.actions();
  if (actions == nullptr) return "actions are not known";
  if (actions->empty()) return "offers no action";
  const size_t shown = std::min(actions->size(), kElementsShown);
  std::string out =
      absl::StrCat("offers ", absl::StrJoin(actions->begin(), actions->begin() + shown, ", "));
  if (shown < actions->size()) absl::StrAppend(&out, " and ", actions->size() - shown, " more");
  return out;
}

}  // namespace orch::target
