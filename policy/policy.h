// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "orch/v1/action.pb.h"
#include "target/node_view.h"

// Rights (docs/security.md): a policy is an ordered list of rules. The first rule that matches
// decides; where none matches the answer is no. A Policy is immutable, so it is thread-safe; a
// reload replaces it as a whole. Pure.

namespace orch::target {
class Condition;
}

namespace orch::policy {

enum class Effect { kAllow, kDeny };

// One question: may `caller` do `action` with these arguments?
struct Query {
  std::string caller;                           // canonical principal, `cert=operator`
  std::string action;                           // `puppet.run`, or an API verb such as `job.cancel`
  const orch::v1::Action* arguments = nullptr;  // null for API verbs
  std::string collective = "main";
  std::string reason;  // the caller's reason, for rules with `reason: required`
};

// A condition of a rule that only a node's facts can decide. It travels with the request, and the
// node decides it.
struct Condition {
  Effect effect;
  std::string where;  // target expression
  std::string rule;   // `policy.yaml:12`
  // How a missing fact counts. True (the rule is from an ActionPolicy file): comparisons with it
  // are false, as there. False (a native rule): the condition is unknown, which makes a rule that
  // denies deny and a rule that allows not allow.
  bool action_policy = false;
  // `where`, where it was read already, as by a policy; null: whoever decides compiles it.
  std::shared_ptr<const target::Condition> compiled = nullptr;
};

// What one rule contributed to a decision, for `policy explain`.
struct Step {
  std::string file;
  int line = 0;
  std::string rule;  // the rule in short
  std::string why;
  bool decides = false;
};

// The answer to a Query. On each node the effect of the first of `conditions` that holds there
// decides, and `otherwise` where none does. Without conditions the answer is `otherwise` on every
// node. There are none where all would say what `otherwise` says: what is only denied under
// conditions, and allowed by no rule, is a plain denial.
struct Decision {
  std::vector<Condition> conditions;  // in order; empty: `otherwise` is the answer
  Effect otherwise = Effect::kDeny;
  std::string rule;    // `policy.yaml:12` of the rule behind `otherwise`, or `default deny`
  std::string reason;  // for people: `no rule allows cert=guest to do puppet.run`
  // The tightest limits of the rules that allow; 0: there is no limit.
  uint32_t max_nodes = 0;
  uint32_t max_percent = 0;
  std::vector<Step> steps;

  // Whether the action is denied on every node, whatever its facts.
  bool denied_outright() const {
    for (const Condition& condition : conditions) {
      if (condition.effect == Effect::kAllow) return false;
    }
    return otherwise == Effect::kDeny;
  }
};

// How the conditions of a request are decided for one node: by the node itself, and as a preview by
// the controller.
struct NodeDecision {
  Effect effect = Effect::kDeny;
  std::string rule;
  std::string why;
  bool unknown = false;  // the roster can't tell, but the node could; only on the controller
};
NodeDecision DecideOnNode(const std::vector<Condition>& conditions, Effect otherwise,
                          const target::NodeView& node);

// Does what DecideOnNode does for many nodes, with the conditions compiled once. A condition that
// does not compile denies.
class NodeDecider {
 public:
  NodeDecider(const std::vector<Condition>& conditions, Effect otherwise);
  ~NodeDecider();
  NodeDecider(NodeDecider&&) noexcept;
  NodeDecider& operator=(NodeDecider&&) noexcept;

  NodeDecision Decide(const target::NodeView& node) const;

 private:
  struct Compiled;
  std::vector<Compiled> conditions_;
  Effect otherwise_;
};

// `Decision.rule` where no rule decided.
inline constexpr char kDefaultDeny[] = "default deny";

class Policy {
 public:
  // Reads a native `policy.yaml`. InvalidArgument, with file and line, refuses the file as a whole.
  static absl::StatusOr<std::shared_ptr<const Policy>> LoadNative(const std::string& path);
  static absl::StatusOr<std::shared_ptr<const Policy>> ParseNative(absl::string_view text,
                                                                   absl::string_view name);
  // Reads a directory of ActionPolicy files (`<agent>.policy`, `groups`).
  static absl::StatusOr<std::shared_ptr<const Policy>> LoadActionPolicyDirectory(
      const std::string& path);
  // Makes one policy of two: native rules decide first, and ActionPolicy files decide what no
  // native rule has decided. Either may be null.
  static std::shared_ptr<const Policy> Combine(std::shared_ptr<const Policy> native,
                                               std::shared_ptr<const Policy> action_policy);

  virtual ~Policy() = default;
  // A decision that depends on the node only in appearance is given without its conditions, unless
  // it has limits: those are counted by the rule of the first condition.
  Decision Decide(const Query& query) const;
  // The groups that a caller is in, sorted.
  virtual std::vector<std::string> GroupsOf(const std::string& caller) const = 0;
  // By file, whether its end is marked: `end: true` as the last key of a policy.yaml, `# end` as
  // the last line of an ActionPolicy file. A file that was cut at a line's end has none.
  virtual std::map<std::string, bool> Ends() const = 0;

 protected:
  // What the rules say, in order. A condition is among it also where it changes nothing: it might
  // if other rules follow.
  virtual Decision Judge(const Query& query) const = 0;
  static Decision JudgeBy(const Policy& policy, const Query& query) { return policy.Judge(query); }
};

// InvalidArgument: the end of a file was marked in `before`, and is not in `now`: it was cut.
absl::Status CheckEnds(const Policy& before, const Policy& now);
// InvalidArgument: the end of a file is not marked.
absl::Status CheckEnds(const Policy& policy);

}  // namespace orch::policy
