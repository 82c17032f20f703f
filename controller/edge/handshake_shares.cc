// SPDX-License-Identifier: Apache-2.0
#include "controller/edge/handshake_shares.h"

#include <algorithm>

namespace orch::controller {

HandshakeShares::Added HandshakeShares::Add(absl::string_view host, absl::Duration now) {
  const Id id = next_++;
  pending_.emplace(id, Pending{std::string(host), now});
  const size_t count = ++hosts_[host];
  std::optional<Id> victim;
  if (count > limits_.of_address) victim = VictimOf(std::string(host), id, now - limits_.grace);
  if (pending_.size() <= limits_.all || victim.has_value()) return {id, victim};
  const auto greediest =
      std::max_element(hosts_.begin(), hosts_.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return {id, VictimOf(greediest->first, id, now)};
}

std::optional<HandshakeShares::Id> HandshakeShares::VictimOf(const std::string& host, Id newcomer,
                                                             absl::Duration latest) const {
  std::optional<Id> answered;
  for (const auto& [id, pending] : pending_) {
    if (id == newcomer || pending.began > latest) break;
    if (pending.host != host) continue;
    if (!pending.answered) return id;
    if (!answered.has_value()) answered = id;
  }
  return answered;
}

void HandshakeShares::OnProgress(Id id) {
  const auto found = pending_.find(id);
  if (found != pending_.end()) found->second.answered = true;
}

void HandshakeShares::Remove(Id id) {
  const auto found = pending_.find(id);
  if (found == pending_.end()) return;
  const auto host = hosts_.find(found->second.host);
  if (--host->second == 0) hosts_.erase(host);
  pending_.erase(found);
}

std::vector<HandshakeShares::Id> HandshakeShares::Overdue(absl::Duration now) const {
  std::vector<Id> out;
  const bool pressed = crowded();
  for (const auto& [id, pending] : pending_) {
    const absl::Duration age = now - pending.began;
    if (age >= limits_.time || (pressed && !pending.answered && age >= limits_.silent_time)) {
      out.push_back(id);
    }
  }
  return out;
}

absl::Duration HandshakeShares::NextDeadline() const {
  absl::Duration next = absl::InfiniteDuration();
  if (pending_.empty()) return next;
  next = pending_.begin()->second.began + limits_.time;
  if (!crowded()) return next;
  for (const auto& [id, pending] : pending_) {
    if (pending.answered) continue;
    return std::min(next, pending.began + limits_.silent_time);
  }
  return next;
}

}  // namespace orch::controller
