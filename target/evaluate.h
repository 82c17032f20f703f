// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "target/compare.h"
#include "target/expression.h"
#include "target/node_view.h"
#include "target/parse.h"

// Three-valued evaluation of a tree against a node. Short-lived, on one thread.

namespace orch::target {

class Evaluation {
 public:
  // `node` must outlive the evaluation. With `missing_is_unknown` a comparison with a missing fact,
  // or with a call that has no value, is kUnknown instead of kFalse.
  Evaluation(const NodeView& node, bool missing_is_unknown)
      : node_(node), missing_is_unknown_(missing_is_unknown) {}

  Truth Evaluate(const Expression& expression);
  // The node has the class.
  Truth HasClass(const std::string& name);
  // The node offers the action, or an action of the group.
  Truth HasAction(const Pattern& pattern);
  // `pattern` fits the node's identity.
  Truth HasIdentity(const Pattern& pattern);

  // Why the node could not answer, if there was something that it could not (a call, a regular
  // expression too costly): `foo(): unknown call`. The value of such an atom is kUnknown; a target
  // as a whole is false then.
  const std::string& failure() const { return failure_; }
  // What this view doesn't know though the node itself would, if there was something: `facts are
  // not known`.
  const std::string& unavailable() const { return unavailable_; }

 private:
  Truth Chain(const Expression& expression, Truth decides);
  Truth HasClassLike(const Expression& expression);
  Truth CompareFact(const Expression& expression);
  Truth CompareCall(const Expression& expression);
  Truth CompareValue(const nlohmann::json& value, const Comparison& comparison,
                     absl::string_view what);
  // A call that is answered from the view itself; NotFound if it is not one of those.
  absl::StatusOr<nlohmann::json> AnswerHere(const Call& call);
  Truth Matches(const Regex& regex, absl::string_view text);
  Truth Unavailable(absl::string_view what);
  Truth Failed(std::string why);

  const NodeView& node_;
  const bool missing_is_unknown_;
  size_t work_left_ = kMatchWorkMax;
  std::string failure_;
  std::string unavailable_;
};

}  // namespace orch::target
