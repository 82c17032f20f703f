// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "policy/arguments.h"
#include "policy/groups.h"
#include "policy/policy.h"
#include "target/target.h"

// A rule, which both native policy files and ActionPolicy files are turned into, and the policy
// that a list of rules makes. Pure.

namespace orch::policy {

// The actions that a rule is about: exact names, all actions of a group (`puppet.*`), or all (`*`).
class ActionList {
 public:
  // Adds `group.verb`, `group.*` or `*`. False: `word` is none of these.
  bool Add(absl::string_view word);
  bool Contains(absl::string_view action) const;
  bool any() const { return any_; }
  // Names without a `*`, and what stands before `.*`.
  const std::set<std::string>& exact() const { return exact_; }
  const std::set<std::string>& groups() const { return groups_; }

 private:
  bool any_ = false;
  std::set<std::string> exact_;
  std::set<std::string> groups_;
};

struct Rule {
  Effect effect = Effect::kDeny;
  std::string file;  // as errors and explanations name it
  int line = 0;
  std::string summary;  // the rule in short, one line
  CallerList callers;
  ActionList actions;
  std::string where;                                   // empty: on every node
  std::shared_ptr<const target::Condition> condition;  // `where`, compiled
  bool action_policy = false;                          // see Condition
  // Native rules only.
  std::vector<ArgumentConstraint> arguments;
  std::set<std::string> collectives;  // empty: all
  bool reason_required = false;
  uint32_t max_nodes = 0;
  uint32_t max_percent = 0;

  // `policy.yaml:12`: the file's last component.
  std::string Name() const;
  // Why the rule is not about this query, or an empty text if it is. `*near` is set to true where
  // only the arguments or a missing reason are in the way.
  std::string WhyNot(const Query& query, const std::vector<std::string>& groups, bool* near) const;
};

// Rules in order, the first that matches decides, else default deny.
std::shared_ptr<const Policy> MakePolicy(Groups groups, std::vector<Rule> rules,
                                         std::map<std::string, bool> ends);

}  // namespace orch::policy
