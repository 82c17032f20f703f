// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "policy/policy.h"
#include "target/target.h"

namespace orch::policy {

using target::Truth;

struct NodeDecider::Compiled {
  Condition condition;
  absl::StatusOr<std::shared_ptr<const target::Condition>> where;
};

namespace {

// What one condition says about a node: nothing, its effect, or, on the controller, perhaps its
// effect.
struct Says {
  std::optional<Effect> effect;
  bool perhaps = false;
  std::string why;
};

absl::StatusOr<std::shared_ptr<const target::Condition>> CompiledOf(const Condition& condition) {
  if (condition.compiled != nullptr) return condition.compiled;
  absl::StatusOr<target::Condition> compiled = target::Condition::Compile(condition.where);
  if (!compiled.ok()) return compiled.status();
  return std::make_shared<const target::Condition>(*std::move(compiled));
}

Says Ask(const Condition& condition,
         const absl::StatusOr<std::shared_ptr<const target::Condition>>& where,
         const target::NodeView& node) {
  if (!where.ok()) {
    return {Effect::kDeny, false,
            absl::StrCat("the condition can't be read: ", where.status().message())};
  }
  const auto missing = condition.action_policy ? target::Condition::MissingFacts::kFalse
                                               : target::Condition::MissingFacts::kUnknown;
  const target::Match match = (*where)->Evaluate(node, missing);
  if (match.truth == Truth::kFalse) return {};
  if (match.truth == Truth::kTrue) {
    return {condition.effect, false, absl::StrCat("where ", condition.where)};
  }
  if (match.unavailable) return {condition.effect, true, match.why};
  // Undecided for good: that never permits.
  if (condition.effect == Effect::kAllow) return {};
  return {Effect::kDeny, false, absl::StrCat("where ", condition.where, ": ", match.why)};
}

}  // namespace

NodeDecider::NodeDecider(const std::vector<Condition>& conditions, Effect otherwise)
    : otherwise_(otherwise) {
  for (const Condition& condition : conditions) {
    conditions_.push_back({condition, CompiledOf(condition)});
  }
}
NodeDecider::~NodeDecider() = default;
NodeDecider::NodeDecider(NodeDecider&&) noexcept = default;
NodeDecider& NodeDecider::operator=(NodeDecider&&) noexcept = default;

NodeDecision NodeDecider::Decide(const target::NodeView& node) const {
  NodeDecision out{otherwise_, "", "no condition holds", false};
  bool may_allow = false;
  bool may_deny = false;
  std::string undecided;
  for (const Compiled& compiled : conditions_) {
    Says says = Ask(compiled.condition, compiled.where, node);
    if (!says.effect.has_value()) continue;
    if (says.perhaps) {
      (*says.effect == Effect::kAllow ? may_allow : may_deny) = true;
      if (undecided.empty()) undecided = std::move(says.why);
      continue;
    }
    out = {*says.effect, compiled.condition.rule, std::move(says.why), false};
    break;
  }
  out.unknown = out.effect == Effect::kAllow ? may_deny : may_allow;
  if (out.unknown) {
    out.effect = Effect::kDeny;
    out.why = std::move(undecided);
  }
  return out;
}

NodeDecision DecideOnNode(const std::vector<Condition>& conditions, Effect otherwise,
                          const target::NodeView& node) {
  return NodeDecider(conditions, otherwise).Decide(node);
}

}  // namespace orch::policy
