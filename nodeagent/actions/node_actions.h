// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "nodeagent/facts/facts.h"
#include "orch/bus/v1/reply.pb.h"
#include "orch/v1/action.pb.h"

// node.ping, node.facts, node.inventory: what a node knows of itself. Answer at once.

namespace orch::nodeagent {

// Bytes of an inventory or of facts that fit into a reply; a larger answer fails, and says which
// facts are large.
inline constexpr size_t kNodeAnswerMax = 192 << 10;

orch::bus::v1::Outcome RunNodePing(absl::Time now, absl::Time start_time);
// A fact that the node lacks is absent from the answer.
orch::bus::v1::Outcome RunNodeFacts(const orch::v1::NodeFacts& action, const Facts& facts);
orch::bus::v1::Outcome RunNodeInventory(const Facts& facts,
                                        const orch::v1::PuppetStatusResult& puppet);

}  // namespace orch::nodeagent
