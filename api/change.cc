// SPDX-License-Identifier: Apache-2.0
#include "api/change.h"

#include "absl/strings/match.h"

namespace orch::api {

bool IsRefresh(const orch::v1::ResourceChange& change) {
  return change.property().empty() && change.status() != orch::v1::RESOURCE_CHANGE_STATUS_FAILED &&
         (absl::StartsWith(change.message(), "Would have triggered '") ||
          absl::StartsWith(change.message(), "Triggered '"));
}

void DropDiffs(absl::string_view why, orch::v1::PuppetRunResult* run) {
  for (orch::v1::ResourceChange& change : *run->mutable_changes()) {
    if (why.empty()) {
      change.clear_diff_omitted();
    } else if (!change.diff().empty()) {
      change.set_diff_omitted(std::string(why));
    }
    change.clear_diff();
  }
}

}  // namespace orch::api
