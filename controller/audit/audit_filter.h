// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"
#include "orch/v1/audit_service.pb.h"

// Which records a caller wants to see (orch.v1.ListAuditRequest). Pure.

namespace orch::controller {

// InvalidArgument with the path of the field.
absl::Status ValidateAuditFilter(const orch::v1::ListAuditRequest& request);
bool Matches(const orch::v1::ListAuditRequest& request, const orch::v1::AuditRecord& record);
// Whether no record as old as this one, or older, can match: records are in the order of time
// but for what clocks are set back.
bool IsBefore(const orch::v1::ListAuditRequest& request, const orch::v1::AuditRecord& record);

}  // namespace orch::controller
