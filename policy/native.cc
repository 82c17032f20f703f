// SPDX-License-Identifier: Apache-2.0

// A policy that is misread opens the fleet, so the reader accepts nothing that it does not
// understand: an unknown key, a misspelt argument, a group that is not there or a limit on a rule
// that denies refuses the file as a whole, with its line. It reads its own small Yaml and not a
// protobuf message as other configurations do, because every rule must know its line: decisions and
// the audit name it.
#include "policy/native.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/catalog.h"
#include "base/config.h"
#include "base/status.h"
#include "base/text.h"
#include "policy/rule.h"
#include "policy/yaml.h"
#include "target/target.h"

namespace orch::policy {
namespace {

constexpr size_t kPolicyBytesMax = 1 << 20;
constexpr size_t kRulesMax = 10'000;
constexpr size_t kGroupsMax = 1'000;
constexpr size_t kSummaryMax = 120;

bool AllOf(absl::string_view text, absl::string_view punctuation) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [punctuation](char c) {
    return absl::ascii_isalnum(c) || punctuation.find(c) != absl::string_view::npos;
  });
}

// `cert=operator`, `jwt=https://issuer/subject`, `local=insecure`.
bool IsPrincipal(absl::string_view word) {
  const size_t equals = word.find('=');
  return equals != absl::string_view::npos && AllOf(word.substr(0, equals), "_") &&
         AllOf(word.substr(equals + 1), "._@:/-");
}

// Reads one file; each function one mapping of it.
class Reader {
 public:
  explicit Reader(absl::string_view name) : name_(name) {}

  // What holds of the file; what is wrong with it is in mistakes().
  NativeRules Read(const Yaml& root) {
    NativeRules out;
    Note(ReadRoot(root, &out));
    return out;
  }
  std::vector<std::string> TakeMistakes() { return std::move(mistakes_); }

 private:
  // Whether it is none; the search goes on.
  bool Note(const absl::Status& status) {
    if (!status.ok()) mistakes_.emplace_back(status.message());
    return status.ok();
  }

  absl::Status ReadRoot(const Yaml& root, NativeRules* out) {
    if (root.kind != Yaml::Kind::kMap) return Error(root, "expected groups and rules");
    Note(CheckKeys(root, {"groups", "rules", "end"}));
    Note(ReadEnd(root, out));
    const Yaml* rules = root.Find("rules");
    if (rules == nullptr)
      return Error(root, "there are no rules; to deny everything write rules: []");
    if (rules->kind != Yaml::Kind::kList) return Error(*rules, "rules: expected a list");
    if (rules->list.size() > kRulesMax) {
      return Error(*rules, absl::StrCat("rules: more than ", kRulesMax));
    }
    if (const Yaml* node = root.Find("groups"); node != nullptr) {
      Note(ReadGroups(*node, &out->groups));
    }
    for (const Yaml& node : rules->list) {
      absl::StatusOr<Rule> rule = ReadRule(node, out->groups);
      if (Note(rule.status())) out->rules.push_back(*std::move(rule));
    }
    return absl::OkStatus();
  }

  // Behind it nothing may stand, or a file that was cut could still have it.
  absl::Status ReadEnd(const Yaml& root, NativeRules* out) const {
    const Yaml* end = root.Find("end");
    out->end = end != nullptr;
    if (end == nullptr) return absl::OkStatus();
    if (end->kind != Yaml::Kind::kText || end->text != "true") {
      return Error(*end, "end: expected true");
    }
    return root.map.back().first == "end" ? absl::OkStatus()
                                          : Error(*end, "end: it must be the last key");
  }

  absl::Status Error(const Yaml& at, absl::string_view why) const {
    return absl::InvalidArgumentError(absl::StrCat(name_, ":", at.line, ": ", why));
  }

  absl::Status CheckKeys(const Yaml& map, const std::vector<absl::string_view>& known) const {
    for (const auto& [key, value] : map.map) {
      if (std::find(known.begin(), known.end(), key) == known.end()) {
        return Error(value,
                     absl::StrCat(key, ": no such field; known: ", absl::StrJoin(known, ", ")));
      }
    }
    return absl::OkStatus();
  }

  // One word, or a list of them; never none.
  absl::StatusOr<std::vector<std::string>> Words(const Yaml& node, absl::string_view field) const {
    std::vector<std::string> out;
    if (node.kind == Yaml::Kind::kText) {
      out.push_back(node.text);
    } else if (node.kind == Yaml::Kind::kList) {
      for (const Yaml& element : node.list) {
        if (element.kind != Yaml::Kind::kText) {
          return Error(element, absl::StrCat(field, ": expected a list of words"));
        }
        out.push_back(element.text);
      }
    }
    const bool blank =
        std::any_of(out.begin(), out.end(), [](const std::string& word) { return word.empty(); });
    if (out.empty() || blank) return Error(node, absl::StrCat(field, ": expected at least a word"));
    return out;
  }

  absl::Status ReadGroup(const Yaml& groups, const std::string& name, const Yaml& members,
                         CallerList* out) const {
    if (!AllOf(name, "._-")) {
      return Error(members,
                   absl::StrCat("groups.", name, ": a name is made of letters, digits, . _ -"));
    }
    if (members.kind == Yaml::Kind::kList && members.list.empty()) return absl::OkStatus();
    ORCH_ASSIGN_OR_RETURN(const std::vector<std::string> words,
                          Words(members, absl::StrCat("groups.", name)));
    for (const std::string& word : words) {
      if (IsPrincipal(word)) {
        out->AddCaller(word);
      } else if (groups.Find(word) != nullptr) {
        out->AddGroup(word);
      } else {
        return Error(members, absl::StrCat("groups.", name, ": ", NoSuchCaller(word)));
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadGroups(const Yaml& node, Groups* out) {
    if (node.kind != Yaml::Kind::kMap) return Error(node, "groups: expected name: [callers]");
    if (node.map.size() > kGroupsMax)
      return Error(node, absl::StrCat("groups: more than ", kGroupsMax));
    for (const auto& [name, members] : node.map) {
      CallerList callers;
      Note(ReadGroup(node, name, members, &callers));
      Note(out->Add(name, std::move(callers)));
    }
    const absl::Status nesting = out->Check();
    return nesting.ok() ? nesting : Error(node, nesting.message());
  }

  static std::string NoSuchCaller(absl::string_view word) {
    return absl::StrCat("`", word, "` is no group, and no caller such as cert=operator");
  }

  // The rule, as far as it can be read: an error is one of many where others were noted.
  absl::StatusOr<Rule> ReadRule(const Yaml& node, const Groups& groups) {
    if (node.kind != Yaml::Kind::kMap)
      return Error(node, "a rule is a mapping with effect, callers and actions");
    Note(CheckKeys(node, {"effect", "callers", "actions", "where", "arguments", "max_nodes",
                          "max_percent", "collectives", "reason"}));
    Rule rule;
    rule.file = name_;
    rule.line = node.line;
    const Yaml* effect = node.Find("effect");
    if (effect == nullptr || (effect->text != "allow" && effect->text != "deny")) {
      return Error(effect == nullptr ? node : *effect, "effect: expected allow or deny");
    }
    rule.effect = effect->text == "allow" ? Effect::kAllow : Effect::kDeny;
    Note(ReadCallers(node, groups, &rule));
    // Which arguments there are depends on the actions.
    if (Note(ReadActions(node, &rule))) Note(ReadArguments(node, &rule));
    Note(ReadWhere(node, &rule));
    Note(ReadCollectives(node, &rule));
    Note(ReadLimits(node, &rule));
    rule.summary = Summary(node);
    return rule;
  }

  absl::Status ReadCallers(const Yaml& rule_node, const Groups& groups, Rule* rule) const {
    const Yaml* node = rule_node.Find("callers");
    if (node == nullptr) return Error(rule_node, "callers: missing; * is everybody");
    ORCH_ASSIGN_OR_RETURN(const std::vector<std::string> words, Words(*node, "callers"));
    for (const std::string& word : words) {
      if (word == "*") {
        rule->callers.AddAny();
      } else if (IsPrincipal(word)) {
        rule->callers.AddCaller(word);
      } else if (groups.Has(word)) {
        rule->callers.AddGroup(word);
      } else {
        return Error(*node, absl::StrCat("callers: ", NoSuchCaller(word)));
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadActions(const Yaml& rule_node, Rule* rule) const {
    const Yaml* node = rule_node.Find("actions");
    if (node == nullptr) return Error(rule_node, "actions: missing; * is every action");
    ORCH_ASSIGN_OR_RETURN(const std::vector<std::string> words, Words(*node, "actions"));
    for (const std::string& word : words) {
      if (!rule->actions.Add(word)) {
        return Error(
            *node, absl::StrCat("actions: expected puppet.run, puppet.* or *, found `", word, "`"));
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadWhere(const Yaml& rule_node, Rule* rule) const {
    const Yaml* node = rule_node.Find("where");
    if (node == nullptr) return absl::OkStatus();
    if (node->kind != Yaml::Kind::kText) return Error(*node, "where: expected an expression");
    absl::StatusOr<target::Condition> compiled = target::Condition::Compile(node->text);
    if (!compiled.ok()) {
      return Error(*node, absl::StrCat("where: ", compiled.status().message()));
    }
    rule->where = node->text;
    rule->condition = std::make_shared<const target::Condition>(*std::move(compiled));
    return absl::OkStatus();
  }

  absl::Status ReadArguments(const Yaml& rule_node, Rule* rule) const {
    const Yaml* node = rule_node.Find("arguments");
    if (node == nullptr) return absl::OkStatus();
    if (node->kind != Yaml::Kind::kMap) return Error(*node, "arguments: expected name: constraint");
    for (const auto& [name, value] : node->map) {
      const std::string field = absl::StrCat("arguments.", name);
      ArgumentConstraint constraint;
      constraint.name = name;
      ORCH_RETURN_IF_ERROR(CheckArgument(value, name, *rule));
      if (value.kind == Yaml::Kind::kText && value.text == "required") {
        constraint.kind = ArgumentConstraint::Kind::kRequired;
      } else if (value.kind == Yaml::Kind::kText && value.text == "forbidden") {
        constraint.kind = ArgumentConstraint::Kind::kForbidden;
      } else if (value.kind == Yaml::Kind::kList) {
        constraint.kind = ArgumentConstraint::Kind::kOneOf;
        ORCH_ASSIGN_OR_RETURN(constraint.values, Words(value, field));
      } else {
        return Error(value,
                     absl::StrCat(field, ": expected required, forbidden or a list of values"));
      }
      rule->arguments.push_back(std::move(constraint));
    }
    return absl::OkStatus();
  }

  // A misspelt argument would make a rule that never holds. External actions are known to the nodes
  // only: a rule that names one by itself may constrain anything.
  absl::Status CheckArgument(const Yaml& at, const std::string& name, const Rule& rule) const {
    for (const std::string& action : rule.actions.exact()) {
      if (api::FindAction(action) == nullptr) return absl::OkStatus();
    }
    for (const api::ActionInfo& info : api::Actions()) {
      const bool has = info.arm->message_type()->FindFieldByName(name) != nullptr;
      if (has && rule.actions.Contains(info.name)) return absl::OkStatus();
    }
    return Error(at, absl::StrCat("arguments.", name, ": no action of this rule has it"));
  }

  absl::Status ReadCollectives(const Yaml& rule_node, Rule* rule) const {
    const Yaml* node = rule_node.Find("collectives");
    if (node == nullptr) return absl::OkStatus();
    ORCH_ASSIGN_OR_RETURN(const std::vector<std::string> words, Words(*node, "collectives"));
    for (const std::string& word : words) {
      const bool upper = std::any_of(word.begin(), word.end(), absl::ascii_isupper);
      if (!AllOf(word, "_-") || upper || word.size() > 32) {
        return Error(*node, absl::StrCat("collectives: `", word, "` is no name of a collective"));
      }
      rule->collectives.insert(word);
    }
    return absl::OkStatus();
  }

  absl::Status ReadLimits(const Yaml& node, Rule* rule) const {
    const Yaml* last = nullptr;
    if (const Yaml* nodes = node.Find("max_nodes"); nodes != nullptr) {
      last = nodes;
      if (!absl::SimpleAtoi(nodes->text, &rule->max_nodes) || rule->max_nodes == 0) {
        return Error(*nodes, "max_nodes: expected a number above 0");
      }
    }
    if (const Yaml* percent = node.Find("max_percent"); percent != nullptr) {
      last = percent;
      const bool ok = absl::SimpleAtoi(percent->text, &rule->max_percent);
      if (!ok || rule->max_percent == 0 || rule->max_percent > 100) {
        return Error(*percent, "max_percent: expected a number from 1 to 100");
      }
    }
    if (const Yaml* reason = node.Find("reason"); reason != nullptr) {
      last = reason;
      if (reason->text != "required") return Error(*reason, "reason: expected required");
      rule->reason_required = true;
    }
    if (last != nullptr && rule->effect == Effect::kDeny) {
      return Error(*last, "max_nodes, max_percent and reason are for rules that allow");
    }
    return absl::OkStatus();
  }

  // `allow operators: puppet.run, puppet.status where role=web`.
  static std::string Summary(const Yaml& node) {
    const auto text = [&node](absl::string_view key) {
      const Yaml* value = node.Find(key);
      if (value == nullptr) return std::string();
      if (value->kind == Yaml::Kind::kText) return value->text;
      return absl::StrJoin(value->list, ", ", [](std::string* out, const Yaml& element) {
        absl::StrAppend(out, element.text);
      });
    };
    std::string out = absl::StrCat(text("effect"), " ", text("callers"), ": ", text("actions"));
    if (!text("where").empty()) absl::StrAppend(&out, " where ", text("where"));
    std::replace(out.begin(), out.end(), '\n', ' ');
    if (out.size() <= kSummaryMax) return out;
    return absl::StrCat(base::CutUtf8(out, kSummaryMax), "...");
  }

  const std::string name_;
  std::vector<std::string> mistakes_;
};

}  // namespace

NativeRules ReadNative(absl::string_view text, absl::string_view name,
                       std::vector<std::string>* mistakes) {
  if (text.size() > kPolicyBytesMax) {
    mistakes->push_back(absl::StrCat(name, ": larger than ", kPolicyBytesMax, " bytes"));
    return {};
  }
  const absl::StatusOr<Yaml> root = ReadYaml(text, name);
  if (!root.ok()) {
    mistakes->emplace_back(root.status().message());
    return {};
  }
  Reader reader(name);
  NativeRules out = reader.Read(*root);
  *mistakes = reader.TakeMistakes();
  return out;
}

absl::StatusOr<std::shared_ptr<const Policy>> Policy::ParseNative(absl::string_view text,
                                                                  absl::string_view name) {
  std::vector<std::string> mistakes;
  NativeRules read = ReadNative(text, name, &mistakes);
  if (!mistakes.empty()) return absl::InvalidArgumentError(mistakes.front());
  return MakePolicy(std::move(read.groups), std::move(read.rules), {{std::string(name), read.end}});
}

absl::StatusOr<std::shared_ptr<const Policy>> Policy::LoadNative(const std::string& path) {
  ORCH_ASSIGN_OR_RETURN(const std::string text, base::ReadRightsFile(path, kPolicyBytesMax));
  return ParseNative(text, path);
}

}  // namespace orch::policy
