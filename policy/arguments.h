// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "orch/v1/action.pb.h"

// Constraints on the arguments of an action, for any action: fields are found by reflection, those
// of an external action in its JSON.

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

// How doubt is resolved: an argument that is not set may stand for any value (the node's own
// environment, all tags).
enum class Doubt {
  kIsNo,   // kOneOf holds only if each value is one of `values`: rules that allow
  kIsYes,  // kOneOf holds if any value is, or none is given: rules that deny
};

// Whether a constraint holds for a call of `action`; `arguments` may be null: none are given. An
// argument that the action does not have counts as not set, and never is one of `values`.
bool Holds(const ArgumentConstraint& constraint, absl::string_view action,
           const orch::v1::Action* arguments, Doubt doubt);

}  // namespace orch::policy
