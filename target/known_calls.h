// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"
#include "target/node_view.h"

namespace orch::target {

// Whether some node could answer `call`, one that is not answered from facts and classes. NotFound
// where no node can: the call is of no name that is known, or asks for a field that it never has.
// Then whoever stands in for a node says no as well, instead of leaving it to the node. Pure.
absl::Status CheckCall(const Call& call);

}  // namespace orch::target
