// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/string_view.h"
#include "orch/v1/job.pb.h"

namespace orch::api {

// Groups of a summary, changes of one of them, and the bytes that changes and names of all of them
// may take together.
inline constexpr size_t kJobGroupsMax = 500;
inline constexpr int kGroupChangesMax = 20;
inline constexpr size_t kGroupsBytesMax = 2 << 20;

// Puts nodes of a job together that fared alike: failures by their cause, silence, refusals and
// denials by reason and message, runs by their change set (where differences of files came with it,
// by the set with the values before, since those are the difference). Nodes may come in any order,
// each once.
//
// Beyond kJobGroupsMax groups those that are like no other are one group for each state, verdict
// and reason, without a cause or changes.
//
// Pure. Not thread-safe.
class JobGroups {
 public:
  void Add(const orch::v1::JobNode& node);
  // The groups in the order of JobSummary.groups; of the nodes' names and the changes only what
  // fits. Nothing is left here.
  std::vector<orch::v1::JobGroup> Take();

 private:
  using Key = std::tuple<int, int, std::string, std::string>;

  std::map<Key, orch::v1::JobGroup> groups_;
  size_t bytes_ = 0;
};

// A failure's text without what differs between nodes that fail for the same reason: their names,
// numbers, hexadecimal words. Two nodes with equal shapes have the same cause. Pure.
std::string CauseShape(absl::string_view text, absl::string_view node);

}  // namespace orch::api
