// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "target/compare.h"
#include "target/expression.h"
#include "target/node_view.h"
#include "target/parse.h"

// Evaluates expressions against one node, with three values of truth (node_view.h). An Evaluation
// lives for one target on one node, on one thread.

namespace orch::target {

// The most different calls that a node is asked in one evaluation, because it reads files to answer
// them.
inline constexpr size_t kNodeCallsMax = 32;

// `fact('path')` and `fact('path').value`, which are another way to write a fact, and
// `version('path').value`, a fact that is compared as a version.
inline bool IsFactValue(const Call& call) {
  return call.name == "version" ||
         (call.name == "fact" && (call.field.empty() || call.field == "value"));
}

class Evaluation {
 public:
  // `node` must outlive the evaluation. With `missing_is_unknown` a comparison with a missing fact,
  // or with a call that has no value, is kUnknown instead of kFalse.
  Evaluation(const NodeView& node, bool missing_is_unknown)
      : node_(node), missing_is_unknown_(missing_is_unknown) {}

  Truth Evaluate(const Expression& expression);
  // Whether the node has the class.
  Truth HasClass(const std::string& name);
  // Whether the node offers the action, or an action of the group.
  Truth HasAction(const Pattern& pattern);
  // Whether `pattern` fits the node's identity.
  Truth HasIdentity(const Pattern& pattern);
  // The value of a call; null if it has none. Unavailable: only the node itself knows. Other
  // errors: this node can't answer, and why.
  absl::StatusOr<nlohmann::json> Answer(const Call& call);
  // The fact at `path`. Null: there is none, or looking for it takes too long; failure() says so
  // then.
  const nlohmann::json* Find(const nlohmann::json& facts, absl::string_view path);

  // The first class that a kClassLike fits; empty if there is none.
  std::string FindClassLike(const Expression& expression);

  const NodeView& node() const { return node_; }

  // Why the node could not answer, if there was something that it could not (a call, a regular
  // expression too costly): `foo(): unknown call`. The value of such an atom is kUnknown; a target
  // as a whole is false then.
  const std::string& failure() const { return failure_; }
  // What this view does not know although the node itself would: `facts are not known`. Empty:
  // there was nothing.
  const std::string& unavailable() const { return unavailable_; }

 private:
  Truth Chain(const Expression& expression, Truth decides);
  Truth HasClassLike(const Expression& expression);
  Truth CompareFact(const std::string& path, const Comparison& comparison);
  Truth CompareCall(const Expression& expression);
  Truth CompareValue(const nlohmann::json& value, const Comparison& comparison,
                     absl::string_view what);
  // Answers a call that needs nothing but the view itself. NotFound: it is not one of those.
  absl::StatusOr<nlohmann::json> AnswerHere(const Call& call);
  Truth Matches(const Regex& regex, absl::string_view text);
  Truth Unavailable(absl::string_view what);
  Truth Failed(std::string why);

  const NodeView& node_;
  const bool missing_is_unknown_;
  Work work_;
  std::map<std::array<std::string, 3>, absl::StatusOr<nlohmann::json>> answers_;  // of the node
  std::string failure_;
  std::string unavailable_;
};

}  // namespace orch::target
