// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "base/strand.h"
#include "controller/context/dispatcher_api.h"
#include "policy/policy.h"
#include "target/node_view.h"

namespace orch::controller {

// A node of the roster as targets and policies see it.
target::NodeData ViewOf(const orch::v1::Node& node);

// Whether `node.list`, decided so, shows this node. What can't be told stays hidden.
bool MaySee(const policy::Decision& decision, const target::NodeData& node);

// What a walk over the roster is about.
struct NodeWalk {
  orch::v1::Target target;  // validated
  policy::Decision sees;    // `node.list` of whom it is for
  std::string after;        // begins behind this name
  bool with_facts = false;  // the visitor wants them; a `sees` with conditions needs them anyway
  // One node in the order of names, with its view where facts were fetched; false: enough.
  std::function<bool(const orch::v1::Node&, const target::NodeData*)> visit;
  // Once, at the end.
  std::function<void(absl::Status)> done;
};

// Nodes whose facts are in memory at once.
inline constexpr int kNodesAtOnce = 100;

// Walks over the nodes of the roster that match and may be seen. Facts are fetched for kNodesAtOnce
// nodes at a time, so that a fleet's facts are never held as a whole. Everything is called on
// `strand`, which is the walk's alone.
void PostNodeWalk(DispatcherPort dispatcher, base::Strand strand, NodeWalk walk);

}  // namespace orch::controller
