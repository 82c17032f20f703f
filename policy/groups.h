// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "target/regex.h"

namespace orch::policy {

// The caller of a connection without certificates (`insecure_loopback`).
inline constexpr char kInsecureCaller[] = "local=insecure";

// A list of callers as policies write it: principals, names of groups, `/regex/` (ActionPolicy
// only; it must match the whole caller) and `*`. Immutable once filled.
class CallerList {
 public:
  // InvalidArgument for a bad regular expression.
  absl::Status AddRegex(absl::string_view pattern);
  void AddAny() { any_ = true; }
  void AddCaller(absl::string_view caller) { callers_.emplace(caller); }
  void AddGroup(absl::string_view group) { groups_.emplace(group); }

  bool any() const { return any_; }
  const std::set<std::string>& callers() const { return callers_; }
  // The regular expressions as they were given.
  const std::vector<std::string>& patterns() const { return patterns_; }
  const std::set<std::string>& groups() const { return groups_; }
  // Whether the caller, or one of its groups, is in the list. With `any_is_everybody` false, `*`
  // leaves out kInsecureCaller: who is not authenticated gets no right that does not name him.
  bool Contains(const std::string& caller, const std::vector<std::string>& groups,
                bool any_is_everybody = true) const;

 private:
  bool any_ = false;
  // Apart, so that no caller can be named like a group.
  std::set<std::string> callers_;
  std::set<std::string> groups_;
  std::vector<std::shared_ptr<const target::Regex>> regexes_;
  std::vector<std::string> patterns_;
};

// Named groups of callers. Groups may nest; Check refuses cycles.
class Groups {
 public:
  // AlreadyExists if there is a group of that name.
  absl::Status Add(const std::string& name, CallerList members);
  bool Has(const std::string& name) const { return members_.count(name) > 0; }
  // InvalidArgument names a group that contains itself. To be called once,
  // when all are added.
  absl::Status Check() const;
  // Sorted; groups of groups included.
  std::vector<std::string> Of(const std::string& caller) const;
  const std::map<std::string, CallerList>& all() const { return members_; }

 private:
  absl::Status Visit(const std::string& name, std::vector<std::string>* path,
                     std::set<std::string>* done) const;

  std::map<std::string, CallerList> members_;
};

}  // namespace orch::policy
