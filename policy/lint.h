// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "policy/action_policy.h"
#include "policy/finding.h"

namespace orch::policy {

// All findings, in the order of files and lines: lines of ActionPolicy files whose meaning here
// differs from what the original made of it, and what rules can never do (policy/reach.h). A bad
// line doesn't end the search.
std::vector<Finding> LintActionPolicy(const ActionPolicyFiles& files);
absl::StatusOr<std::vector<Finding>> LintActionPolicyDirectory(const std::string& path);
// Of a policy.yaml: its mistakes, else what its rules can never do.
std::vector<Finding> LintNative(absl::string_view text, absl::string_view name);
absl::StatusOr<std::vector<Finding>> LintNativeFile(const std::string& path);

}  // namespace orch::policy
