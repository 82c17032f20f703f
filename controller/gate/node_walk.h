// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "base/strand.h"
#include "controller/context/dispatcher_api.h"
#include "policy/policy.h"
#include "target/node_view.h"

namespace orch::controller {

// A node of the API as targets and policies see it.
target::NodeData ViewOf(const orch::v1::Node& node);

// Whether a decision on `node.list` lets the caller see this node. A node of which that can't be
// told stays hidden.
bool MaySee(const policy::Decision& decision, const target::NodeData& node);

// A walk over the nodes of the roster.
struct NodeWalk {
  orch::v1::Target target;  // validated
  policy::Decision sees;    // the decision on `node.list` for the caller of the walk
  std::string after;        // the walk begins behind this name
  bool with_facts = false;  // the visitor wants them; a `sees` with conditions needs them anyway
  // Called for each node in the order of names, with its view if facts were fetched, else null.
  // False ends the walk.
  std::function<bool(const orch::v1::Node&, const target::NodeData*)> visit;
  // Called once, at the end, also when `visit` ended the walk.
  std::function<void(absl::Status)> done;
};

// The most nodes whose facts are in memory at once.
inline constexpr int kNodesAtOnce = 100;

// Walks over the nodes of the roster that match and may be seen. Facts are fetched for kNodesAtOnce
// nodes at a time, so that a fleet's facts are never held as a whole. Everything is called on
// `strand`, which is the walk's alone.
void PostNodeWalk(DispatcherPort dispatcher, base::Strand strand, NodeWalk walk);

}  // namespace orch::controller
