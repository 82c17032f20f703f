// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "orch/v1/action.pb.h"

namespace orch::nodeagent {

// One property of one resource, whole: the digests are of what Puppet wrote, not of what is shown.
struct ChangedProperty {
  std::string resource;
  std::string property;
  std::string desired;   // a list or hash: its values with their keys, each preceded by its length
  std::string previous;  // as `desired`
  orch::v1::ResourceChangeStatus status = orch::v1::RESOURCE_CHANGE_STATUS_UNSPECIFIED;
  bool redacted = false;
};

// Makes a run's change set: see orch.v1.ChangeSet. Keeps 64 bytes for each property, whatever its
// values are. Pure.
class ChangeSetMaker {
 public:
  void Add(const ChangedProperty& changed);
  void AddRefresh() { refreshes_++; }
  orch::v1::ChangeSet Make() const;

 private:
  std::set<std::string> properties_;  // SHA-256 of each
  std::set<std::string> values_;      // SHA-256 of each with its value before
  bool incomparable_ = false;
  uint32_t refreshes_ = 0;
};

// Appends `text` so that no two sequences of texts make the same bytes: its length, then itself.
void AppendCounted(absl::string_view text, std::string* out);

}  // namespace orch::nodeagent
