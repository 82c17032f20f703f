// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "policy/policy.h"
#include "target/target.h"

// Reads single lines of ActionPolicy files. Errors are InvalidArgument without file and line, which
// the caller knows. Pure.

namespace orch::policy {

// One line of `<agent>.policy`.
struct PolicyLine {
  enum class Kind { kNothing, kDefault, kRule };
  Kind kind = Kind::kNothing;
  Effect effect = Effect::kDeny;
  // The rest is for kRule. In these lists `*` stands alone.
  std::vector<std::string> callers;
  std::vector<std::string> actions;
  std::string facts;        // as written; in a line of four fields the whole expression
  std::string classes;      // as written
  bool expression = false;  // a line of four fields
  std::string where;        // both as one target expression; empty: on every node
  std::shared_ptr<const target::Condition> condition;  // `where`, compiled
};
absl::StatusOr<PolicyLine> ParsePolicyLine(absl::string_view line);

// One line of `groups`: a group's name and its members. An empty name: the line says nothing.
struct GroupLine {
  std::string name;
  std::vector<std::string> members;
};
absl::StatusOr<GroupLine> ParseGroupLine(absl::string_view line);

// Whether a field of facts or classes is one expression and not a list of words.
bool IsExpression(absl::string_view field);

// Whether a caller is written as a regular expression: `/cert=.*/`.
bool IsCallerRegex(absl::string_view word);

}  // namespace orch::policy
