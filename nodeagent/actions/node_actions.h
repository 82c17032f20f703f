// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "nodeagent/facts/facts.h"
#include "orch/bus/v1/reply.pb.h"
#include "orch/v1/action.pb.h"

// The actions node.ping, node.facts and node.inventory, which tell what a node knows of itself.
// They change nothing and answer before they return.

namespace orch::nodeagent {

// Bytes of the largest inventory or facts that fit into a reply. A larger answer is the outcome
// FAILED, whose message names the largest facts.
inline constexpr size_t kNodeAnswerMax = 192 << 10;

orch::bus::v1::Outcome RunNodePing(absl::Time now, absl::Time start_time);
// A fact that the node lacks is absent from the answer.
orch::bus::v1::Outcome RunNodeFacts(const orch::v1::NodeFacts& action, const Facts& facts);
orch::bus::v1::Outcome RunNodeInventory(const Facts& facts,
                                        const orch::v1::PuppetStatusResult& puppet);

}  // namespace orch::nodeagent
