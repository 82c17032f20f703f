// SPDX-License-Identifier: Apache-2.0
#include "controller/audit/audit_filter.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "api/names.h"
#include "base/status.h"
#include "controller/job/job_filter.h"

namespace orch::controller {
namespace {

// How far clocks are set back at most.
constexpr int64_t kClockSetBackSeconds = 3600;

}  // namespace

absl::Status ValidateAuditFilter(const orch::v1::ListAuditRequest& request) {
  if (!request.job().empty()) {
    ORCH_RETURN_IF_ERROR(api::ParseJobName("job", request.job()).status());
  }
  if (request.kinds_size() > kFilterListMax) {
    return api::BadField("kinds", absl::StrCat("more than ", kFilterListMax));
  }
  ORCH_RETURN_IF_ERROR(ValidateActionNames("actions", request.actions()));
  if (request.has_time_min() && request.has_time_max() &&
      request.time_max() <= request.time_min()) {
    return api::BadField("time_max", "is not after time_min: no record can match");
  }
  const std::string& decision = request.decision();
  if (!decision.empty() && decision != "allow" && decision != "deny") {
    return api::BadField("decision", "is neither `allow` nor `deny`");
  }
  if (request.target().size() > kFilterTextMax) {
    return api::BadField("target", absl::StrCat("longer than ", kFilterTextMax, " bytes"));
  }
  return absl::OkStatus();
}

bool Matches(const orch::v1::ListAuditRequest& request, const orch::v1::AuditRecord& record) {
  const auto& kinds = request.kinds();
  return (request.caller().empty() || record.caller() == request.caller()) &&
         (request.job().empty() || record.job() == request.job()) &&
         (kinds.empty() || std::find(kinds.begin(), kinds.end(), record.kind()) != kinds.end()) &&
         NamesAction(request.actions(), record.action()) &&
         (!request.has_time_min() || record.time() >= request.time_min()) &&
         (!request.has_time_max() || record.time() < request.time_max()) &&
         (request.decision().empty() || record.decision() == request.decision()) &&
         (request.target().empty() || ContainsText(record.target(), request.target()));
}

bool IsBefore(const orch::v1::ListAuditRequest& request, const orch::v1::AuditRecord& record) {
  return request.has_time_min() &&
         record.time().seconds() + kClockSetBackSeconds < request.time_min().seconds();
}

}  // namespace orch::controller
