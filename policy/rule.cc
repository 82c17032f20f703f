// SPDX-License-Identifier: Apache-2.0
#include "policy/rule.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace orch::policy {
namespace {

bool IsName(absl::string_view text) {
  const auto fits = [](char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-'; };
  return !text.empty() && std::all_of(text.begin(), text.end(), fits);
}

// The tighter of two limits, where 0 is none.
uint32_t Tighter(uint32_t a, uint32_t b) { return a == 0 ? b : b == 0 ? a : std::min(a, b); }

absl::string_view EffectWord(Effect effect) {
  return effect == Effect::kAllow ? "allows" : "denies";
}

// Forgets conditions that all say what holds without them. Those of a limit stay: it is counted by
// their rule.
void ForgetIdleConditions(Decision* decision) {
  if (decision->max_nodes != 0 || decision->max_percent != 0) return;
  const bool idle = std::all_of(
      decision->conditions.begin(), decision->conditions.end(),
      [decision](const Condition& condition) { return condition.effect == decision->otherwise; });
  if (idle) decision->conditions.clear();
}

bool MayAllow(const Decision& decision) {
  return std::any_of(decision.conditions.begin(), decision.conditions.end(),
                     [](const Condition& condition) { return condition.effect == Effect::kAllow; });
}

class RuleList : public Policy {
 public:
  RuleList(Groups groups, std::vector<Rule> rules, std::map<std::string, bool> ends)
      : groups_(std::move(groups)), rules_(std::move(rules)), ends_(std::move(ends)) {}

  std::vector<std::string> GroupsOf(const std::string& caller) const override {
    return groups_.Of(caller);
  }
  std::map<std::string, bool> Ends() const override { return ends_; }

 protected:
  Decision Judge(const Query& query) const override {
    const std::vector<std::string> groups = groups_.Of(query.caller);
    Decision out;
    std::string near;
    for (const Rule& rule : rules_) {
      bool is_near = false;
      Step step{rule.file, rule.line, rule.summary, rule.WhyNot(query, groups, &is_near), false};
      if (!step.why.empty()) {
        if (is_near && rule.effect == Effect::kAllow && near.empty()) {
          near = absl::StrCat(" (", rule.Name(), ": ", step.why, ")");
        }
        out.steps.push_back(std::move(step));
        continue;
      }
      if (rule.effect == Effect::kAllow) {
        out.max_nodes = Tighter(out.max_nodes, rule.max_nodes);
        out.max_percent = Tighter(out.max_percent, rule.max_percent);
      }
      step.decides = rule.where.empty();
      step.why = step.decides ? absl::StrCat("matches: ", EffectWord(rule.effect))
                              : absl::StrCat(EffectWord(rule.effect), " where ", rule.where);
      out.steps.push_back(std::move(step));
      if (rule.where.empty()) {
        out.otherwise = rule.effect;
        out.rule = rule.Name();
        out.reason = absl::StrCat(rule.Name(), " ", EffectWord(rule.effect), " ", query.caller,
                                  " to do ", query.action);
        return out;
      }
      out.conditions.push_back(
          {rule.effect, rule.where, rule.Name(), rule.action_policy, rule.condition});
    }
    out.otherwise = Effect::kDeny;
    out.rule = kDefaultDeny;
    out.reason = absl::StrCat("no rule allows ", query.caller, " to do ", query.action,
                              MayAllow(out) ? " on other nodes" : "", near);
    out.steps.push_back({"", 0, kDefaultDeny, "no rule matched", true});
    return out;
  }

 private:
  const Groups groups_;
  const std::vector<Rule> rules_;
  const std::map<std::string, bool> ends_;
};

// The second is asked for what the first leaves to its default.
class Combined : public Policy {
 public:
  Combined(std::shared_ptr<const Policy> first, std::shared_ptr<const Policy> second)
      : first_(std::move(first)), second_(std::move(second)) {}

  std::vector<std::string> GroupsOf(const std::string& caller) const override {
    std::vector<std::string> out = first_->GroupsOf(caller);
    for (std::string& group : second_->GroupsOf(caller)) out.push_back(std::move(group));
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

  std::map<std::string, bool> Ends() const override {
    std::map<std::string, bool> out = first_->Ends();
    out.merge(second_->Ends());
    return out;
  }

 protected:
  Decision Judge(const Query& query) const override {
    Decision out = JudgeBy(*first_, query);
    if (out.rule != kDefaultDeny) return out;
    Decision rest = JudgeBy(*second_, query);
    if (!out.steps.empty()) out.steps.pop_back();
    out.steps.insert(out.steps.end(), rest.steps.begin(), rest.steps.end());
    out.conditions.insert(out.conditions.end(), rest.conditions.begin(), rest.conditions.end());
    // Where neither decides, the first knows better what was nearly allowed.
    if (rest.rule != kDefaultDeny) out.reason = rest.reason;
    out.otherwise = rest.otherwise;
    out.rule = rest.rule;
    out.max_nodes = Tighter(out.max_nodes, rest.max_nodes);
    out.max_percent = Tighter(out.max_percent, rest.max_percent);
    return out;
  }

 private:
  const std::shared_ptr<const Policy> first_;
  const std::shared_ptr<const Policy> second_;
};

}  // namespace

bool ActionList::Add(absl::string_view word) {
  if (word == "*") {
    any_ = true;
    return true;
  }
  const size_t dot = word.find('.');
  if (dot == absl::string_view::npos || !IsName(word.substr(0, dot))) return false;
  if (word.substr(dot + 1) == "*") {
    groups_.emplace(word.substr(0, dot));
    return true;
  }
  exact_.emplace(word);
  return IsName(word.substr(dot + 1));
}

bool ActionList::Contains(absl::string_view action) const {
  return any_ || exact_.count(std::string(action)) > 0 ||
         groups_.count(std::string(action.substr(0, action.find('.')))) > 0;
}

std::string Rule::Name() const { return absl::StrCat(file.substr(file.rfind('/') + 1), ":", line); }

std::string Rule::WhyNot(const Query& query, const std::vector<std::string>& groups,
                         bool* near) const {
  if (!callers.Contains(query.caller, groups, /*any_is_everybody=*/effect == Effect::kDeny)) {
    if (callers.any()) return absl::StrCat("* does not stand for ", query.caller, ": name it");
    return absl::StrCat(query.caller, " is not one of the rule's callers");
  }
  if (!actions.Contains(query.action)) {
    return absl::StrCat(query.action, " is none of its actions");
  }
  if (!collectives.empty() && collectives.count(query.collective) == 0) {
    return absl::StrCat("only in ", absl::StrJoin(collectives, ", "), ", not in ",
                        query.collective);
  }
  *near = true;
  const Doubt doubt = effect == Effect::kAllow ? Doubt::kIsNo : Doubt::kIsYes;
  for (const ArgumentConstraint& constraint : arguments) {
    if (!Holds(constraint, query.action, query.arguments, doubt)) {
      return absl::StrCat("only with ", constraint.Print());
    }
  }
  if (reason_required && absl::StripAsciiWhitespace(query.reason).empty()) {
    return "only with a reason";
  }
  return "";
}

std::shared_ptr<const Policy> MakePolicy(Groups groups, std::vector<Rule> rules,
                                         std::map<std::string, bool> ends) {
  return std::make_shared<RuleList>(std::move(groups), std::move(rules), std::move(ends));
}

absl::Status CheckEnds(const Policy& before, const Policy& now) {
  const std::map<std::string, bool> had = before.Ends();
  for (const auto& [file, marked] : now.Ends()) {
    const auto found = had.find(file);
    if (marked || found == had.end() || !found->second) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        file, ": its end is missing, which the policy in force had marked: was it cut?"));
  }
  return absl::OkStatus();
}

absl::Status CheckEnds(const Policy& policy) {
  for (const auto& [file, marked] : policy.Ends()) {
    if (marked) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        file,
        ": its end is not marked (policy.yaml: `end: true` as the last key; ActionPolicy "
        "files: `# end` as the last line), and require_end is set: was it cut?"));
  }
  return absl::OkStatus();
}

Decision Policy::Decide(const Query& query) const {
  Decision out = Judge(query);
  ForgetIdleConditions(&out);
  return out;
}

std::shared_ptr<const Policy> Policy::Combine(std::shared_ptr<const Policy> native,
                                              std::shared_ptr<const Policy> action_policy) {
  if (native == nullptr && action_policy == nullptr) return MakePolicy(Groups(), {}, {});
  if (native == nullptr) return action_policy;
  if (action_policy == nullptr) return native;
  return std::make_shared<const Combined>(std::move(native), std::move(action_policy));
}

}  // namespace orch::policy
