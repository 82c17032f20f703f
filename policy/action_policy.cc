// SPDX-License-Identifier: Apache-2.0

// Files of ActionPolicy were written for another program, so they are turned into the same Rule
// that native policies use and decided by the same code: two evaluators would sooner or later
// disagree. The default of a file becomes a rule for the agent's actions behind all other rules.
// Since two agents of old may map to the same action here, defaults that deny go before those that
// allow: what is doubtful is denied. A single bad line refuses all files, because skipping it could
// widen or narrow a right without anybody noticing.

#include "policy/action_policy.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/config.h"
#include "base/status.h"
#include "base/text.h"
#include "policy/action_policy_line.h"
#include "policy/rule.h"

namespace orch::policy {
namespace {

constexpr char kGroupsFile[] = "groups";
constexpr char kSuffix[] = ".policy";
constexpr size_t kFileBytesMax = 1 << 20;
constexpr size_t kFilesMax = 1'000;
constexpr size_t kRulesMax = 10'000;

absl::Status At(absl::string_view file, int line, const absl::Status& status) {
  return absl::InvalidArgumentError(absl::StrCat(file, ":", line, ": ", status.message()));
}

bool IsAgentName(absl::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '-';
  });
}

// Everything a file says: its rules in order, and what holds where none of them matches.
struct FileRules {
  std::vector<Rule> rules;
  Rule fallback;
};

class FileReader {
 public:
  FileReader(absl::string_view file, const Groups& groups, ActionNames names)
      : file_(file), agent_(absl::StripSuffix(file, kSuffix)), groups_(groups), names_(names) {}

  absl::StatusOr<FileRules> Read(absl::string_view text) {
    if (!IsAgentName(agent_)) {
      return absl::InvalidArgumentError(absl::StrCat(file_, ": not named after an agent"));
    }
    bool has_default = false;
    for (const absl::string_view raw : absl::StrSplit(base::SkipBom(text), '\n')) {
      ++line_;
      absl::StatusOr<PolicyLine> line = ParsePolicyLine(raw);
      if (!line.ok()) return At(file_, line_, line.status());
      switch (line->kind) {
        case PolicyLine::Kind::kNothing:
          break;
        case PolicyLine::Kind::kDefault:
          if (has_default) {
            return At(file_, line_, absl::InvalidArgumentError("a second policy default"));
          }
          has_default = true;
          ORCH_RETURN_IF_ERROR(MakeFallback(line->effect, raw));
          break;
        case PolicyLine::Kind::kRule: {
          absl::StatusOr<Rule> rule = MakeRule(*line, raw);
          if (!rule.ok()) return At(file_, line_, rule.status());
          out_.rules.push_back(*std::move(rule));
          break;
        }
      }
    }
    if (!has_default) {
      ORCH_RETURN_IF_ERROR(MakeFallback(Effect::kDeny, "no policy default: deny"));
    }
    return std::move(out_);
  }

 private:
  Rule NewRule(Effect effect, absl::string_view summary) const {
    Rule rule;
    rule.effect = effect;
    rule.file = file_;
    rule.line = line_;
    rule.summary =
        absl::StrJoin(absl::StrSplit(summary, absl::ByAnyChar("\t\r"), absl::SkipEmpty()), " ");
    rule.action_policy = true;
    return rule;
  }

  absl::Status AddActions(absl::string_view word, Rule* rule) const {
    for (const std::string& action : MapAction(agent_, word, names_)) {
      if (!rule->actions.Add(action)) {
        return absl::InvalidArgumentError(absl::StrCat("\"", word, "\" is no name of an action"));
      }
    }
    return absl::OkStatus();
  }

  absl::Status MakeFallback(Effect effect, absl::string_view summary) {
    out_.fallback = NewRule(effect, summary);
    out_.fallback.callers.AddAny();
    return AddActions("*", &out_.fallback);
  }

  absl::StatusOr<Rule> MakeRule(const PolicyLine& line, absl::string_view text) const {
    Rule rule = NewRule(line.effect, text);
    rule.where = line.where;
    rule.condition = line.condition;
    for (const std::string& word : line.callers) {
      if (word == "*") {
        rule.callers.AddAny();
      } else if (IsCallerRegex(word)) {
        ORCH_RETURN_IF_ERROR(rule.callers.AddRegex(word.substr(1, word.size() - 2)));
      } else if (absl::StrContains(word, "=")) {
        rule.callers.AddCaller(word);
      } else if (groups_.Has(word)) {
        rule.callers.AddGroup(word);
      } else {
        return absl::InvalidArgumentError(
            absl::StrCat("\"", word, "\" is no group, and no caller such as cert=operator"));
      }
    }
    for (const std::string& word : line.actions) ORCH_RETURN_IF_ERROR(AddActions(word, &rule));
    return rule;
  }

  const std::string file_;
  const std::string agent_;
  const Groups& groups_;
  const ActionNames names_;
  int line_ = 0;
  FileRules out_;
};

}  // namespace

std::vector<std::string> MapAction(absl::string_view agent, absl::string_view action,
                                   ActionNames names) {
  if (names == ActionNames::kAsWritten) return {absl::StrCat(agent, ".", action)};
  if (agent == "rpcutil" || agent == "discovery") {
    if (action == "*") return {"node.ping", "node.facts", "node.inventory"};
    if (action == "ping" || action == "discover") return {"node.ping"};
    if (action == "get_fact" || action == "get_facts") return {"node.facts"};
    if (action == "inventory" || action == "agent_inventory") return {"node.inventory"};
    return {};
  }
  if (agent == "puppet" && action == "runonce") return {"puppet.run"};
  if (agent == "puppet" && action == "last_run_summary") return {"puppet.summary"};
  return {absl::StrCat(agent, ".", action)};
}

absl::StatusOr<Groups> ParseActionPolicyGroups(absl::string_view text, absl::string_view name) {
  Groups out;
  int number = 0;
  for (const absl::string_view raw : absl::StrSplit(base::SkipBom(text), '\n')) {
    ++number;
    absl::StatusOr<GroupLine> line = ParseGroupLine(raw);
    if (!line.ok()) return At(name, number, line.status());
    if (line->name.empty()) continue;
    CallerList members;
    for (const std::string& word : line->members) {
      // Groups don't nest here: a member is a caller, whatever it looks like.
      absl::Status status;
      if (IsCallerRegex(word)) {
        status = members.AddRegex(word.substr(1, word.size() - 2));
      } else if (!absl::StrContains(word, "=")) {
        status = absl::InvalidArgumentError(
            absl::StrCat("\"", word, "\" is no caller such as cert=operator"));
      } else {
        members.AddCaller(word);
      }
      if (!status.ok()) return At(name, number, status);
    }
    if (const absl::Status added = out.Add(line->name, std::move(members)); !added.ok()) {
      return At(name, number, added);
    }
  }
  return out;
}

bool EndIsMarked(absl::string_view text) {
  const absl::string_view rest = absl::StripTrailingAsciiWhitespace(text);
  const size_t newline = rest.rfind('\n');
  return (newline == absl::string_view::npos ? rest : rest.substr(newline + 1)) == "# end";
}

absl::StatusOr<ActionPolicyRules> ReadActionPolicy(const ActionPolicyFiles& files,
                                                   ActionNames names) {
  ActionPolicyRules out;
  if (const auto found = files.find(kGroupsFile); found != files.end()) {
    ORCH_ASSIGN_OR_RETURN(out.groups, ParseActionPolicyGroups(found->second, found->first));
    out.ends[kGroupsFile] = EndIsMarked(found->second);
  }
  std::vector<Rule>& rules = out.rules;
  for (const auto& [name, text] : files) {
    if (!absl::EndsWith(name, kSuffix)) continue;
    ORCH_ASSIGN_OR_RETURN(FileRules file, FileReader(name, out.groups, names).Read(text));
    std::move(file.rules.begin(), file.rules.end(), std::back_inserter(rules));
    out.fallbacks.push_back(std::move(file.fallback));
    out.ends[name] = EndIsMarked(text);
    if (rules.size() > kRulesMax) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": more than ", kRulesMax, " rules"));
    }
  }
  return out;
}

absl::StatusOr<std::shared_ptr<const Policy>> ParseActionPolicy(const ActionPolicyFiles& files,
                                                                ActionNames names) {
  ORCH_ASSIGN_OR_RETURN(ActionPolicyRules read, ReadActionPolicy(files, names));
  std::vector<Rule>& fallbacks = read.fallbacks;
  // Two files can be about the same actions (discovery, rpcutil): no default hides a rule, and deny
  // goes first.
  std::stable_partition(fallbacks.begin(), fallbacks.end(),
                        [](const Rule& rule) { return rule.effect == Effect::kDeny; });
  std::move(fallbacks.begin(), fallbacks.end(), std::back_inserter(read.rules));
  return MakePolicy(std::move(read.groups), std::move(read.rules), std::move(read.ends));
}

absl::StatusOr<ActionPolicyFiles> ReadActionPolicyDirectory(const std::string& path) {
  std::error_code error;
  ActionPolicyFiles out;
  std::filesystem::directory_iterator entry(path, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const bool hidden = absl::StartsWith(name, ".");
    if (hidden || (name != kGroupsFile && !absl::EndsWith(name, kSuffix))) continue;
    if (out.size() == kFilesMax) {
      return absl::ResourceExhaustedError(absl::StrCat(path, ": more than ", kFilesMax, " files"));
    }
    ORCH_ASSIGN_OR_RETURN(out[name], base::ReadRightsFile(entry->path().string(), kFileBytesMax));
  }
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("read directory ", path));
  return out;
}

absl::StatusOr<std::shared_ptr<const Policy>> Policy::LoadActionPolicyDirectory(
    const std::string& path) {
  ORCH_ASSIGN_OR_RETURN(const ActionPolicyFiles files, ReadActionPolicyDirectory(path));
  absl::StatusOr<std::shared_ptr<const Policy>> policy =
      ParseActionPolicy(files, ActionNames::kMapped);
  if (!policy.ok()) {
    return absl::Status(
        policy.status().code(),
        absl::StrCat(path, absl::EndsWith(path, "/") ? "" : "/", policy.status().message()));
  }
  return policy;
}

}  // namespace orch::policy
