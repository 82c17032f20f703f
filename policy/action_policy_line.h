// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "policy/policy.h"
#include "target/target.h"

// The lines of ActionPolicy files. Pure; errors are InvalidArgument without file and line, which
// the caller knows.

namespace orch::policy {

// One line of `<agent>.policy`.
struct PolicyLine {
  enum class Kind { kNothing, kDefault, kRule };
  Kind kind = Kind::kNothing;
  Effect effect = Effect::kDeny;
  // kRule. `*` stands alone.
  std::vector<std::string> callers;
  std::vector<std::string> actions;
  std::string facts;        // as written; of a line of four fields the whole expression
  std::string classes;      // as written
  bool expression = false;  // a line of four fields
  std::string where;        // both as one target expression; empty: on every node
  std::shared_ptr<const target::Condition> condition;  // `where`, compiled
};
absl::StatusOr<PolicyLine> ParsePolicyLine(absl::string_view line);

// One line of `groups`: a name and its members; no name: nothing on it.
struct GroupLine {
  std::string name;
  std::vector<std::string> members;
};
absl::StatusOr<GroupLine> ParseGroupLine(absl::string_view line);

// Whether a facts or classes field is one expression, and no list of words.
bool IsExpression(absl::string_view field);

// `/cert=.*/`: a caller that is a regular expression.
bool IsCallerRegex(absl::string_view word);

}  // namespace orch::policy
