// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "target/evaluate.h"
#include "target/explain.h"
#include "target/parse.h"
#include "target/print.h"
#include "target/target.h"

namespace orch::target {

Condition::Condition() = default;
Condition::~Condition() = default;
Condition::Condition(Condition&&) noexcept = default;
Condition& Condition::operator=(Condition&&) noexcept = default;

absl::StatusOr<Condition> Condition::Compile(absl::string_view expression) {
  Condition out;
  Budget budget;
  ORCH_ASSIGN_OR_RETURN(out.root_, ParseExpression(expression, &budget));
  return out;
}

Match Condition::Evaluate(const NodeView& node, MissingFacts missing) const {
  Evaluation evaluation(node, missing == MissingFacts::kUnknown);
  Match out;
  out.truth = evaluation.Evaluate(*root_);
  switch (out.truth) {
    case Truth::kTrue:
      break;
    case Truth::kFalse:
      out.why = absl::StrCat("not so: ", ExplainExpression(*root_));
      break;
    case Truth::kUnknown:
      out.why = !evaluation.unavailable().empty() ? evaluation.unavailable()
                : !evaluation.failure().empty()   ? evaluation.failure()
                                                  : "depends on a fact that is missing";
      out.unavailable = !evaluation.unavailable().empty();
      break;
  }
  return out;
}

std::string Condition::Print() const { return PrintExpression(*root_); }

}  // namespace orch::target
