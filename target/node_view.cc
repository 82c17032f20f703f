// SPDX-License-Identifier: Apache-2.0
#include "target/node_view.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "target/known_calls.h"

namespace orch::target {

absl::StatusOr<nlohmann::json> NodeData::Answer(const Call& call) const {
  ORCH_RETURN_IF_ERROR(CheckCall(call));
  return absl::UnavailableError(absl::StrCat(call.name, "() is answered by the node only"));
}

}  // namespace orch::target
