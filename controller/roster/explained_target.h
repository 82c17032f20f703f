// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "orch/v1/node.pb.h"
#include "orch/v1/policy_service.pb.h"
#include "target/target.h"

// How a target narrows the fleet down, for `orchctl explain target` and for "nothing matched": how
// many nodes are left after its first clause, after its second, and so on, and, for one node, what
// each clause found there. A clause is one condition of the target (`-F os.family=Debian` is one);
// a node matches if every clause holds. Pure.

namespace orch::controller {

// How many clauses, counted from the first one, a node passes. A clause that the roster can't
// decide (it needs a fact that the roster does not have, or a call that only the node can answer)
// counts as passed, because such a node is asked.
struct ClausesOnNode {
  static constexpr size_t kNever = std::numeric_limits<size_t>::max();

  std::string identity;
  size_t holds = 0;              // the number of leading clauses that are not false
  size_t unknown_from = kNever;  // index of the first clause that only the node can decide
};

// What each clause comes to on the one node that the caller asked about.
struct AskedNode {
  struct Clause {
    target::Truth truth = target::Truth::kFalse;
    std::string seen;  // the node's value where the clause looks, in words: `os.family is RedHat`
  };
  std::string identity;
  orch::v1::RosterState state = orch::v1::ROSTER_STATE_UNSPECIFIED;
  bool in_collective = false;   // the target's
  bool named = true;            // false: the target names nodes, and this is none of them
  std::vector<Clause> clauses;  // in the target's order
};

// The whole explanation, before the caller's rights are applied: ToResponse leaves out the nodes
// that the caller may not see.
struct ExplainedTarget {
  std::vector<ClausesOnNode> nodes;  // those that are present, of the target's collective
  std::optional<AskedNode> asked;
};

// Evaluates the clauses of `target` on `node` until one is false.
ClausesOnNode CountClauses(const target::Target& target, const target::NodeView& node);
// Evaluates every clause of `target` on `node`, with what it saw.
AskedNode ExplainOnNode(const target::Target& target, const target::NodeView& node,
                        orch::v1::RosterState state);

// The API's answer. Counts only nodes in `visible`; a null `visible` means that the caller sees
// all.
orch::v1::ExplainTargetResponse ToResponse(const target::Target& target,
                                           const ExplainedTarget& explained,
                                           const std::set<std::string>* visible);

}  // namespace orch::controller
