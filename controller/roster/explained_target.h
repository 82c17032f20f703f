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

// What a target's clauses leave of the roster, one after the other, and what they come to on one
// node: what `orchctl explain target` shows. Pure.

namespace orch::controller {

// How far a node comes. What only the node itself knows keeps it: it is asked.
struct ClausesOnNode {
  static constexpr size_t kNever = std::numeric_limits<size_t>::max();

  std::string identity;
  size_t holds = 0;              // so many clauses, from the first on, are not false
  size_t unknown_from = kNever;  // the first of those that only the node can decide
};

struct AskedNode {
  struct Clause {
    target::Truth truth = target::Truth::kFalse;
    std::string seen;  // what the node has where the clause looks
  };
  std::string identity;
  orch::v1::RosterState state = orch::v1::ROSTER_STATE_UNSPECIFIED;
  bool in_collective = false;
  bool named = true;  // one of those that were named, or none was
  std::vector<Clause> clauses;
};

// Before rights: who may not see a node must not count it.
struct ExplainedTarget {
  std::vector<ClausesOnNode> nodes;  // those that are present, of the target's collective
  std::optional<AskedNode> asked;
};

ClausesOnNode CountClauses(const target::Target& target, const target::NodeView& node);
AskedNode ExplainOnNode(const target::Target& target, const target::NodeView& node,
                        orch::v1::RosterState state);

// The answer: of the nodes only those in `visible`, or all where that is null.
orch::v1::ExplainTargetResponse ToResponse(const target::Target& target,
                                           const ExplainedTarget& explained,
                                           const std::set<std::string>* visible);

}  // namespace orch::controller
