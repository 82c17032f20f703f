// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"
#include "target/node_view.h"

namespace orch::target {

// Checks whether any node could answer `call`, a call that is not answered from facts and classes.
// NotFound: no node can, because the name is not known or the field does not exist. The roster and
// `orchctl target test`, which stand in for a node, then say no as the node would, in place of
// leaving the answer to it. Pure.
absl::Status CheckCall(const Call& call);

}  // namespace orch::target
