// SPDX-License-Identifier: Apache-2.0
#include "controller/roster/explained_target.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace orch::controller {
namespace {

using target::Truth;

absl::string_view StateWord(orch::v1::RosterState state) {
  switch (state) {
    case orch::v1::ROSTER_STATE_STALE:
      return "has not been heard for long";
    case orch::v1::ROSTER_STATE_GONE:
      return "has said goodbye";
    default:
      return "";
  }
}

std::string ClauseName(const target::Target& target, size_t index) {
  return absl::StrCat("clause ", index + 1, " (", target.ClauseWords(index), ")");
}

// The first false clause decides, else the first that only the node knows.
std::string Verdict(const target::Target& target, const AskedNode& node) {
  const auto first = [&node](Truth truth) -> size_t {
    return std::find_if(
               node.clauses.begin(), node.clauses.end(),
               [truth](const AskedNode::Clause& clause) { return clause.truth == truth; }) -
           node.clauses.begin();
  };
  if (!node.in_collective) {
    return absl::StrCat(node.identity, " does not match: it is not in collective ",
                        target.collective());
  }
  if (!node.named) {
    return absl::StrCat(node.identity, " does not match: it is not one of the named nodes");
  }
  if (const size_t index = first(Truth::kFalse); index < node.clauses.size()) {
    return absl::StrCat(node.identity, " does not match: ", ClauseName(target, index),
                        " does not hold: ", node.clauses[index].seen);
  }
  const absl::string_view away = StateWord(node.state);
  const std::string but =
      away.empty() ? "" : absl::StrCat(", but it ", away, " and is not waited for");
  if (const size_t index = first(Truth::kUnknown); index < node.clauses.size()) {
    return absl::StrCat(node.identity, " may match", but, ": it decides ",
                        ClauseName(target, index), " itself: ", node.clauses[index].seen);
  }
  return absl::StrCat(node.identity, " matches", but,
                      node.clauses.empty() ? ": the target is everybody" : ": every clause holds");
}

}  // namespace

ClausesOnNode CountClauses(const target::Target& target, const target::NodeView& node) {
  ClausesOnNode out;
  out.identity = std::string(node.identity());
  for (; out.holds < target.clause_count(); ++out.holds) {
    const Truth truth = target.EvaluateClause(out.holds, node).truth;
    if (truth == Truth::kFalse) break;
    if (truth == Truth::kUnknown) out.unknown_from = std::min(out.unknown_from, out.holds);
  }
  return out;
}

AskedNode ExplainOnNode(const target::Target& target, const target::NodeView& node,
                        orch::v1::RosterState state) {
  AskedNode out;
  out.identity = std::string(node.identity());
  out.state = state;
  const std::vector<std::string>& all = node.collectives();
  out.in_collective = std::find(all.begin(), all.end(), target.collective()) != all.end();
  for (size_t i = 0; i < target.clause_count(); ++i) {
    out.clauses.push_back({target.EvaluateClause(i, node).truth, target.ObserveClause(i, node)});
  }
  return out;
}

orch::v1::ExplainTargetResponse ToResponse(const target::Target& target,
                                           const ExplainedTarget& explained,
                                           const std::set<std::string>* visible) {
  orch::v1::ExplainTargetResponse out;
  std::vector<uint32_t> left(target.clause_count()), unknown(target.clause_count());
  for (const ClausesOnNode& node : explained.nodes) {
    if (visible != nullptr && visible->count(node.identity) == 0) continue;
    out.set_nodes(out.nodes() + 1);
    for (size_t i = 0; i < node.holds; ++i) {
      ++left[i];
      unknown[i] += node.unknown_from <= i;
    }
  }
  for (size_t i = 0; i < target.clause_count(); ++i) {
    orch::v1::TargetClause& clause = *out.add_clauses();
    clause.set_words(target.ClauseWords(i));
    clause.set_nodes_left(left[i]);
    clause.set_nodes_unknown(unknown[i]);
    if (!explained.asked.has_value()) continue;
    clause.set_node_matches(explained.asked->clauses[i].truth == Truth::kTrue);
    clause.set_why(explained.asked->clauses[i].seen);
  }
  if (explained.asked.has_value()) {
    const AskedNode& asked = *explained.asked;
    out.set_verdict(Verdict(target, asked));
    out.set_matches(asked.in_collective && asked.named &&
                    std::all_of(asked.clauses.begin(), asked.clauses.end(),
                                [](const auto& clause) { return clause.truth == Truth::kTrue; }));
  }
  return out;
}

}  // namespace orch::controller
