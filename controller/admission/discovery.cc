// SPDX-License-Identifier: Apache-2.0
#include "controller/admission/discovery.h"

#include <algorithm>
#include <utility>

namespace orch::controller {

void Discovery::OnDiscovered(const std::string& node, const orch::bus::v1::Discovered& answer,
                             base::Now now) {
  const bool expected = named_.contains(node) || maybe_.contains(node);
  if (!expected && (options_.named_only || answers_.size() >= kJobNodesMax)) return;
  if (!answers_.emplace(node, answer).second) return;
  waited_for_.erase(node);
  maybe_.erase(node);
  away_.erase(node);
  deadline_ = std::max(deadline_, std::min(now.steady + kQuietWindow, stretch_max_));
  if (!until_quiet_) return;
  quiet_ = nobody_waited_for() ? now.steady + kQuietWindow : absl::InfiniteDuration();
}

void Discovery::ExpectBack(const std::vector<std::string>& nodes, absl::Duration until) {
  back_until_ = until;
  for (const std::string& node : nodes) {
    if (waited_for_.contains(node) || maybe_.contains(node)) away_.insert(node);
  }
}

bool Discovery::OnBack(const std::string& node, base::Now now) {
  if (!waited_for_.contains(node) && !maybe_.contains(node)) return false;
  away_.erase(node);
  deadline_ = std::max(deadline_, now.steady + options_.timeout);
  return true;
}

bool Discovery::over(base::Now now) const {
  if (now.steady >= NextDeadline()) return true;
  return !until_quiet_ && nobody_waited_for();
}

std::vector<std::string> Discovery::Willing() const {
  std::vector<std::string> willing;
  for (const auto& [node, answer] : answers_) {
    if (answer.willing()) willing.push_back(node);
  }
  return willing;
}

std::vector<JobNodeStart> Discovery::Declined() const {
  std::vector<JobNodeStart> declined;
  for (const auto& [node, answer] : answers_) {
    if (answer.willing()) continue;
    const bool denied = answer.state() == orch::v1::NODE_STATE_DENIED;
    JobNodeStart start;
    start.node = node;
    start.state = denied ? orch::v1::NODE_STATE_DENIED : orch::v1::NODE_STATE_REFUSED;
    start.reason = answer.reason();
    start.message = answer.message();
    declined.push_back(std::move(start));
  }
  return declined;
}

std::vector<std::string> Discovery::Silent() const {
  std::vector<std::string> silent(waited_for_.begin(), waited_for_.end());
  std::sort(silent.begin(), silent.end());
  return silent;
}

}  // namespace orch::controller
