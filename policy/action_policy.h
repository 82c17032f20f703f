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

// MCollective's ActionPolicy, for those who come from there: `<agent>.policy` files and `groups` in
// one directory. The format and where its meaning differs from the original are described in
// docs/policy.md.

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

// What an action of an agent is called here; `*` gives all of them, empty: there is nothing like
// it.
std::vector<std::string> MapAction(absl::string_view agent, absl::string_view action,
                                   ActionNames names);

// A line of `groups` read so that lint can go on behind a bad one.
absl::StatusOr<Groups> ParseActionPolicyGroups(absl::string_view text, absl::string_view name);

}  // namespace orch::policy
