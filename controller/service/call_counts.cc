// SPDX-License-Identifier: Apache-2.0
#include "controller/service/call_counts.h"

#include <google/protobuf/descriptor.h>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "orch/v1/audit_service.pb.h"
#include "orch/v1/job_service.pb.h"
#include "orch/v1/node_service.pb.h"
#include "orch/v1/policy_service.pb.h"

namespace orch::controller {

CallCounts::CallCounts() {
  using google::protobuf::FileDescriptor;
  for (const FileDescriptor* file : {orch::v1::GetJobResponse::descriptor()->file(),
                                     orch::v1::GetNodeResponse::descriptor()->file(),
                                     orch::v1::WhoAmIResponse::descriptor()->file(),
                                     orch::v1::ListAuditResponse::descriptor()->file()}) {
    for (int i = 0; i < file->service_count(); ++i) {
      const google::protobuf::ServiceDescriptor& service = *file->service(i);
      for (int j = 0; j < service.method_count(); ++j) {
        const google::protobuf::MethodDescriptor& method = *service.method(j);
        ByCode& counts = by_method_[absl::StrCat(service.name(), "/", method.name())];
        ORCH_CHECK(by_response_.emplace(method.output_type()->name(), &counts).second);
      }
    }
  }
}

void CallCounts::Count(const std::string& response, absl::StatusCode code) {
  const auto found = by_response_.find(response);
  const auto index = static_cast<size_t>(code);
  if (found == by_response_.end() || index >= kCodes) return;
  (*found->second)[index].fetch_add(1, std::memory_order_relaxed);
}

uint64_t CallCounts::total(absl::StatusCode code) const {
  uint64_t sum = 0;
  for (const auto& [method, by_code] : by_method_) sum += by_code[static_cast<size_t>(code)];
  return sum;
}

}  // namespace orch::controller
