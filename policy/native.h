// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "policy/groups.h"
#include "policy/rule.h"

namespace orch::policy {

// What a policy.yaml says (docs/policy.md).
struct NativeRules {
  Groups groups;
  std::vector<Rule> rules;
  bool end = false;  // Policy::Ends
};

// Reads all of it, going on behind each mistake: `name:line: why`, in the order in which they are
// met. With any of them the rules are not to be used. Pure.
NativeRules ReadNative(absl::string_view text, absl::string_view name,
                       std::vector<std::string>* mistakes);

}  // namespace orch::policy
