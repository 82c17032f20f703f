// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "controller/gate/gate.h"

// The errors with which the gate refuses (docs/errors.md), and the check of a question to
// PostExplain. Pure.

namespace orch::controller {

// UNAUTHENTICATED.
absl::Status Unauthenticated(absl::string_view why);
// Why a decision with conditions permits no `right` that is not about nodes.
std::string DependsOnNodes(const std::string& right, const policy::Decision& decision);
// PermissionDenied POLICY_DENIED; the ErrorInfo's metadata names caller, right and rule.
absl::Status PolicyDenied(const std::string& principal, const std::string& right,
                          const policy::Decision& decision);
// Unavailable AUDIT_UNAVAILABLE with RetryInfo.
absl::Status AuditUnavailable(const absl::Status& why);
// ResourceExhausted TOO_MANY_WATCHERS with RetryInfo.
absl::Status TooManyWatchers(uint32_t max, bool by_caller);
// FailedPrecondition NO_PUPPETDB.
absl::Status NoPuppetDb();
// NotFound NODE_NOT_FOUND.
absl::Status NoSuchNode(const std::string& identity);

// Checks a question about rights and gives an action without arguments its defaults.
// InvalidArgument: the caller, action or target is bad.
absl::StatusOr<Explained> CheckQuestion(const std::vector<std::string>& collectives,
                                        orch::v1::ExplainPolicyRequest* question);

}  // namespace orch::controller
