// SPDX-License-Identifier: Apache-2.0
#include "policy/groups.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace orch::policy {

absl::Status CallerList::AddRegex(absl::string_view pattern) {
  ORCH_ASSIGN_OR_RETURN(std::shared_ptr<const target::Regex> regex,
                        target::Regex::Compile(absl::StrCat("\\A(?:", pattern, ")\\z")));
  // Unbalanced parentheses could otherwise get rid of the anchors.
  ORCH_RETURN_IF_ERROR(target::Regex::Compile(pattern).status());
  regexes_.push_back(std::move(regex));
  patterns_.emplace_back(pattern);
  return absl::OkStatus();
}

bool CallerList::Contains(const std::string& caller, const std::vector<std::string>& groups,
                          bool any_is_everybody) const {
  if (any_ && (any_is_everybody || caller != kInsecureCaller)) return true;
  if (callers_.count(caller) > 0) return true;
  for (const std::string& group : groups) {
    if (groups_.count(group) > 0) return true;
  }
  return std::any_of(regexes_.begin(), regexes_.end(),
                     [&caller](const auto& regex) { return regex->Matches(caller); });
}

absl::Status Groups::Add(const std::string& name, CallerList members) {
  if (!members_.emplace(name, std::move(members)).second) {
    return absl::AlreadyExistsError(absl::StrCat("group ", name, " is defined twice"));
  }
  return absl::OkStatus();
}

absl::Status Groups::Check() const {
  std::set<std::string> done;
  std::vector<std::string> path;
  for (const auto& entry : members_) ORCH_RETURN_IF_ERROR(Visit(entry.first, &path, &done));
  return absl::OkStatus();
}

// Depth first: `path` leads to the group, `done` needs no second visit.
absl::Status Groups::Visit(const std::string& name, std::vector<std::string>* path,
                           std::set<std::string>* done) const {
  const auto group = members_.find(name);
  if (group == members_.end() || done->count(name) > 0) return absl::OkStatus();
  if (std::find(path->begin(), path->end(), name) != path->end()) {
    return absl::InvalidArgumentError(absl::StrCat("group ", name, " contains itself"));
  }
  path->push_back(name);
  for (const std::string& member : group->second.groups()) {
    ORCH_RETURN_IF_ERROR(Visit(member, path, done));
  }
  path->pop_back();
  done->insert(name);
  return absl::OkStatus();
}

std::vector<std::string> Groups::Of(const std::string& caller) const {
  std::vector<std::string> found;
  std::set<std::string> known;
  for (bool progress = true; progress;) {
    progress = false;
    for (const auto& [name, members] : members_) {
      if (known.count(name) > 0 || !members.Contains(caller, found)) continue;
      known.insert(name);
      found.push_back(name);
      progress = true;
    }
  }
  return {known.begin(), known.end()};
}

}  // namespace orch::policy
