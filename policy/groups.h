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

// The name of every caller that connects without a certificate (`insecure_loopback`).
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
  // Whether the list has the caller or one of its `groups`. With `any_is_everybody` false, `*` does
  // not mean kInsecureCaller, so that a caller who is not authenticated gets only rights that name
  // him.
  bool Contains(const std::string& caller, const std::vector<std::string>& groups,
                bool any_is_everybody = true) const;

 private:
  bool any_ = false;
  // Callers and groups are kept apart, so that a caller with the name of a group does not count as
  // that group.
  std::set<std::string> callers_;
  std::set<std::string> groups_;
  std::vector<std::shared_ptr<const target::Regex>> regexes_;
  std::vector<std::string> patterns_;
};

// Named groups of callers. Groups may nest; Check refuses cycles.
class Groups {
 public:
  // Adds a group. AlreadyExists: there is one of that name.
  absl::Status Add(const std::string& name, CallerList members);
  bool Has(const std::string& name) const { return members_.count(name) > 0; }
  // Checks the nesting; to be called once, when all groups are added. InvalidArgument names a group
  // that contains itself.
  absl::Status Check() const;
  // The groups that `caller` is in, directly or through other groups, sorted.
  std::vector<std::string> Of(const std::string& caller) const;
  const std::map<std::string, CallerList>& all() const { return members_; }

 private:
  absl::Status Visit(const std::string& name, std::vector<std::string>* path,
                     std::set<std::string>* done) const;

  std::map<std::string, CallerList> members_;
};

}  // namespace orch::policy
