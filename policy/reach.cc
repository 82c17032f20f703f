// SPDX-License-Identifier: Apache-2.0
#include "policy/reach.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/catalog.h"

namespace orch::policy {
namespace {

// Bytes of a common name (docs/security.md).
constexpr size_t kNameMax = 128;

// What the API itself asks for; docs/policy.md lists them.
constexpr const char* kVerbs[] = {
    "audit.list",  "freeze.set",       "job.approve",      "job.cancel", "job.diff",
    "job.get",     "job.on_behalf_of", "job.pause",        "job.resume", "node.list",
    "policy.read", "puppetdb.query",   "rollout.unlimited"};

bool IsCallerKind(absl::string_view kind) { return kind == "cert" || kind == "jwt"; }

// Why nobody can be this caller; empty: somebody may.
std::string WhyNobody(absl::string_view caller) {
  if (caller == kInsecureCaller) return "";
  const size_t equals = caller.find('=');
  const absl::string_view kind = caller.substr(0, equals);
  if (equals == absl::string_view::npos || !IsCallerKind(kind)) {
    return "callers are cert=<common name>, jwt=<issuer>/<subject> and local=insecure";
  }
  const absl::string_view name = caller.substr(equals + 1);
  if (kind == "jwt") return name.empty() ? "it names nobody" : "";
  const bool fits =
      !name.empty() && name.size() <= kNameMax && std::all_of(name.begin(), name.end(), [](char c) {
        return absl::ascii_isalnum(c) || absl::StrContains("._@:-", c);
      });
  return fits ? "" : "a user's common name is made of 1 to 128 letters, digits and . _ @ : -";
}

// The same of a regular expression that begins with a kind as plain text: `uid=.*`.
std::string WhyNobodyMatches(absl::string_view pattern) {
  const size_t equals = pattern.find('=');
  if (equals == absl::string_view::npos) return "";
  const absl::string_view kind = pattern.substr(0, equals);
  const bool plain = !kind.empty() && std::all_of(kind.begin(), kind.end(), absl::ascii_isalnum);
  return plain && !IsCallerKind(kind) && kind != "local" ? WhyNobody(pattern) : "";
}

absl::string_view GroupOf(absl::string_view action) { return action.substr(0, action.find('.')); }

struct KnownActions {
  std::set<std::string> names;
  std::set<std::string> groups;

  KnownActions() {
    for (const api::ActionInfo& info : api::Actions()) names.insert(info.name);
    names.insert(std::begin(kVerbs), std::end(kVerbs));
    for (const std::string& name : names) groups.emplace(GroupOf(name));
  }
};

class Reach {
 public:
  Reach(const Groups& groups, const std::vector<Rule>& rules) : groups_(groups), rules_(rules) {}

  std::vector<Finding> Run() {
    for (const Rule& rule : rules_) {
      CheckCallers(rule);
      CheckActions(rule);
      CheckReached(rule);
      if (IsUnconditional(rule)) deciders_.push_back(&rule);
    }
    return std::move(out_);
  }

 private:
  void Add(const Rule& rule, std::string what, bool error = false) {
    out_.push_back({rule.file, rule.line, std::move(what), false, error, true});
  }

  void CheckCallers(const Rule& rule) {
    const bool denies = rule.effect == Effect::kDeny;
    const absl::string_view so = denies ? ": it denies nobody" : ": it allows nobody";
    const auto check = [&](const CallerList& list, absl::string_view of) {
      for (const std::string& caller : list.callers()) {
        const std::string why = WhyNobody(caller);
        if (!why.empty()) {
          Add(rule, absl::StrCat("no caller here can be ", caller, of, so, " (", why, ")"), denies);
        }
      }
      for (const std::string& pattern : list.patterns()) {
        const std::string why = WhyNobodyMatches(pattern);
        if (!why.empty()) {
          Add(rule,
              absl::StrCat("no caller here can match /", pattern, "/", of, so, " (", why, ")"),
              denies);
        }
      }
    };
    check(rule.callers, "");
    for (const std::string& group : rule.callers.groups()) {
      const auto members = groups_.all().find(group);
      if (members != groups_.all().end()) check(members->second, absl::StrCat(" of ", group));
    }
  }

  void CheckActions(const Rule& rule) {
    static const KnownActions known;
    for (const std::string& name : rule.actions.exact()) {
      if (known.names.count(name) > 0) continue;
      const bool ours = known.groups.count(std::string(GroupOf(name))) > 0;
      Add(rule, ours ? absl::StrCat("there is no action ", name)
                     : absl::StrCat("no action ", name,
                                    " is built in: only an external one of nodes can be meant"));
    }
    for (const std::string& group : rule.actions.groups()) {
      if (known.groups.count(group) > 0) continue;
      Add(rule, absl::StrCat("no action ", group,
                             ".* is built in: only external ones of nodes can be meant"));
    }
  }

  // Whether it decides whatever it is about.
  static bool IsUnconditional(const Rule& rule) {
    return rule.where.empty() && rule.arguments.empty() && rule.collectives.empty() &&
           !rule.reason_required;
  }

  void CheckReached(const Rule& rule) {
    for (const Rule* before : deciders_) {
      if (!Covers(before->actions, rule.actions) || !Covers(*before, rule.callers)) continue;
      Add(rule, absl::StrCat("no request reaches it: line ", before->line,
                             before->file == rule.file ? "" : absl::StrCat(" of ", before->file),
                             " decides all of them"));
      return;
    }
  }

  static bool Covers(const ActionList& a, const ActionList& b) {
    if (a.any()) return true;
    if (b.any() || (b.exact().empty() && b.groups().empty())) return false;
    return std::includes(a.groups().begin(), a.groups().end(), b.groups().begin(),
                         b.groups().end()) &&
           std::all_of(b.exact().begin(), b.exact().end(),
                       [&a](const std::string& name) { return a.Contains(name); });
  }

  // `*` of a rule that allows leaves the caller without a certificate to later ones.
  bool Covers(const Rule& before, const CallerList& callers) const {
    const bool allows = before.effect == Effect::kAllow;
    if (before.callers.any()) {
      return !allows || callers.callers().count(kInsecureCaller) == 0 ||
             before.callers.callers().count(kInsecureCaller) > 0;
    }
    if (callers.any() || !callers.patterns().empty()) return false;
    return std::includes(before.callers.groups().begin(), before.callers.groups().end(),
                         callers.groups().begin(), callers.groups().end()) &&
           std::all_of(callers.callers().begin(), callers.callers().end(),
                       [&](const std::string& caller) {
                         return before.callers.Contains(caller, groups_.Of(caller), !allows);
                       });
  }

  const Groups& groups_;
  const std::vector<Rule>& rules_;
  std::vector<const Rule*> deciders_;
  std::vector<Finding> out_;
};

}  // namespace

std::vector<Finding> FindUnreachable(const Groups& groups, const std::vector<Rule>& rules) {
  return Reach(groups, rules).Run();
}

}  // namespace orch::policy
