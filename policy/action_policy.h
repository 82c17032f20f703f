// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "policy/groups.h"
#include "policy/policy.h"
#include "policy/rule.h"

// Reads MCollective's ActionPolicy: `<agent>.policy` files and a file `groups` in one directory.
// docs/policy.md describes the format and where its meaning differs from the original's. The result
// decides as every Policy does.

namespace orch::policy {

// Contents by file name: `puppet.policy`, `groups`. Other names are ignored.
using ActionPolicyFiles = std::map<std::string, std::string>;

enum class ActionNames {
  kMapped,     // runonce of puppet.policy is our puppet.run
  kAsWritten,  // runonce of puppet.policy is puppet.runonce: to compare with the original
};

// What these files say: the lines' rules in order, and what holds in each file where none matches.
struct ActionPolicyRules {
  Groups groups;
  std::vector<Rule> rules;
  std::vector<Rule> fallbacks;
  std::map<std::string, bool> ends;  // Policy::Ends
};
absl::StatusOr<ActionPolicyRules> ReadActionPolicy(const ActionPolicyFiles& files,
                                                   ActionNames names);
// The policy of these files. InvalidArgument `file:line: why` refuses them all.
absl::StatusOr<std::shared_ptr<const Policy>> ParseActionPolicy(const ActionPolicyFiles& files,
                                                                ActionNames names);
// Reads a directory into memory. NotFound, PermissionDenied, ResourceExhausted (too large).
absl::StatusOr<ActionPolicyFiles> ReadActionPolicyDirectory(const std::string& path);

// The names that an action of an MCollective agent has here. The action `*` gives all actions of
// the agent. Empty: there is nothing like it.
std::vector<std::string> MapAction(absl::string_view agent, absl::string_view action,
                                   ActionNames names);

// Reads the content of a `groups` file; `name` stands for the file in errors. InvalidArgument:
// `name:line: why`.
absl::StatusOr<Groups> ParseActionPolicyGroups(absl::string_view text, absl::string_view name);

}  // namespace orch::policy
