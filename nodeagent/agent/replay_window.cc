// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/agent/replay_window.h"

namespace orch::nodeagent {

ReplayWindow::Added ReplayWindow::Add(const std::string& key, absl::Time until, absl::Time now) {
  Forget(now);
  if (keys_.contains(key)) return Added::kSeen;
  if (keys_.size() >= max_) return Added::kFull;
  keys_.emplace(key, until);
  by_end_.emplace(until, key);
  return Added::kNew;
}

bool ReplayWindow::Contains(const std::string& key, absl::Time now) const {
  const auto found = keys_.find(key);
  return found != keys_.end() && found->second > now;
}

void ReplayWindow::Forget(absl::Time now) {
  while (!by_end_.empty() && by_end_.begin()->first <= now) {
    keys_.erase(by_end_.begin()->second);
    by_end_.erase(by_end_.begin());
  }
}

}  // namespace orch::nodeagent
