// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "orch/v1/action.pb.h"

// Constraints of a rule on the arguments of an action. They work for any action: the arguments of a
// built-in action are found by reflection, those of an external action in its JSON.

namespace orch::policy {

struct ArgumentConstraint {
  enum class Kind {
    kRequired,   // set, and not false
    kForbidden,  // not set, or false
    kOneOf,      // set, to one of `values`
  };
  std::string name;
  Kind kind = Kind::kRequired;
  std::vector<std::string> values;

  // `noop: required`, for people.
  std::string Print() const;
};

// How doubt is resolved. An argument that is not set may stand for any value, because the node's
// own default counts then (its environment, all tags).
enum class Doubt {
  // For rules that allow: kOneOf holds only if the argument is set and each value is one of
  // `values`.
  kIsNo,
  // For rules that deny: kOneOf holds if any value is one of `values`, or the argument is not set.
  kIsYes,
};

// Whether a constraint holds for a call of `action` with `arguments` (null: none are given). An
// argument that the action does not have counts as not set and never is one of `values`.
bool Holds(const ArgumentConstraint& constraint, absl::string_view action,
           const orch::v1::Action* arguments, Doubt doubt);

}  // namespace orch::policy
