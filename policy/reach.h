// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "policy/finding.h"
#include "policy/groups.h"
#include "policy/rule.h"

namespace orch::policy {

// What rules can never do: callers that can't exist here (a deny rule about them denies nobody,
// which is an error), actions that do not exist, rules that no request reaches because an earlier
// one decides all that they are about. Rules are compared two by two: a rule that only several
// earlier ones together leave nothing to is not found. Pure.
std::vector<Finding> FindUnreachable(const Groups& groups, const std::vector<Rule>& rules);

}  // namespace orch::policy
