// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "orch/v1/target.pb.h"
#include "target/node_view.h"

// The target language (docs/targets.md): one implementation for client, controller and node. Pure,
// thread-safe after construction.

namespace orch::target {

struct Expression;  // target/expression.h: the parsed tree of one -S expression or comparison

// What an evaluation came to, and why.
struct Match {
  Truth truth = Truth::kFalse;
  // For people: the clause that decided, or the call that could not be answered. Empty if simply
  // true.
  std::string why;
  // Whether it is kUnknown because this view doesn't know (the node itself would); a missing fact
  // is not that.
  bool unavailable = false;
};

// A compiled orch.v1.Target: every clause parsed, every regular expression built.
class Target {
 public:
  // InvalidArgument for the first bad clause: `select: column 14: expected a fact, class or "(",
  // found "or"`.
  static absl::StatusOr<Target> Compile(const orch::v1::Target& proto);
  Target();
  ~Target();
  Target(Target&&) noexcept;
  Target& operator=(Target&&) noexcept;

  // Whether the node matches: it is in the target's collective, every clause holds, and one of the
  // identities fits if any are named. A clause that the node can't answer (a call, or too costly a
  // comparison) makes the whole kFalse. A clause that only the node itself could answer makes it
  // kUnknown, unless another clause is false. A node takes anything but kTrue as "not me".
  Match Evaluate(const NodeView& node) const;
  // `main` where the proto has none.
  const std::string& collective() const { return collective_; }
  // Whether the target has no clause at all, so that it means everybody of the collective.
  bool empty() const;
  // The clauses one by one, in the order of evaluation and in words, for `orchctl explain target`
  // and the audit.
  size_t clause_count() const;
  std::string ClauseWords(size_t index) const;
  Match EvaluateClause(size_t index, const NodeView& node) const;
  // In words, what the node has where a clause looks: `role is "db"; class nginx is not there`.
  std::string ObserveClause(size_t index, const NodeView& node) const;
  // The canonical form as flags: `-F os.family=Debian -S "role=web and nginx"`; empty for
  // everybody.
  std::string Print() const;

 private:
  std::string collective_;
  struct Clauses;
  std::unique_ptr<Clauses> clauses_;
};

// One expression by itself, for policies (`where:`) and the ActionPolicy fields.
class Condition {
 public:
  // InvalidArgument with the column.
  static absl::StatusOr<Condition> Compile(absl::string_view expression);
  Condition(Condition&&) noexcept;
  Condition& operator=(Condition&&) noexcept;
  ~Condition();
  // A missing fact is false for every operator in a target; in a policy's three-valued logic it is
  // unknown.
  enum class MissingFacts { kFalse, kUnknown };
  Match Evaluate(const NodeView& node, MissingFacts missing) const;
  std::string Print() const;

 private:
  Condition();
  std::unique_ptr<const Expression> root_;
};

}  // namespace orch::target
