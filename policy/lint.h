// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "policy/action_policy.h"

namespace orch::policy {

// A line of an ActionPolicy file whose meaning here differs from what the original made of it.
struct Finding {
  std::string file;
  int line = 0;  // 0: the file as a whole
  std::string what;
  bool refused = false;  // the file can't be used as it is
};

// All findings, in the order of files and lines. A bad line is a finding too and does not end the
// search.
std::vector<Finding> LintActionPolicy(const ActionPolicyFiles& files);
absl::StatusOr<std::vector<Finding>> LintActionPolicyDirectory(const std::string& path);

}  // namespace orch::policy
