// SPDX-License-Identifier: Apache-2.0
#include "controller/job/node_table.h"

#include <utility>

#include "base/status.h"
#include "controller/job/states.h"

namespace orch::controller {

NodeEntry* NodeTable::Add(const std::string& name) {
  const uint32_t index = static_cast<uint32_t>(entries_.size());
  ORCH_CHECK(index_.emplace(name, index).second);
  NodeEntry& entry = entries_.emplace_back();
  entry.name = name;
  entry.index = index;
  ++counts_[entry.state];
  ++open_;
  MarkChanged(&entry);
  return &entry;
}

NodeEntry* NodeTable::Find(const std::string& name) {
  auto it = index_.find(name);
  return it == index_.end() ? nullptr : &entries_[it->second];
}

const NodeEntry* NodeTable::Find(const std::string& name) const {
  auto it = index_.find(name);
  return it == index_.end() ? nullptr : &entries_[it->second];
}

std::optional<orch::v1::NodeState> NodeTable::StateOf(const std::string& name) const {
  const NodeEntry* entry = Find(name);
  if (entry == nullptr) return std::nullopt;
  return entry->state;
}

void NodeTable::Move(NodeEntry* entry, orch::v1::NodeState to) {
  ORCH_CHECK(MayFollow(entry->state, to));
  Count(entry, to);
  MarkChanged(entry);
}

void NodeTable::Reopen(NodeEntry* entry) {
  --counts_[entry->state];
  entry->state = orch::v1::NODE_STATE_SENT;
  ++counts_[entry->state];
  ++open_;
  entry->phase = NodePhase::kAsked;
  entry->started = false;
}

NodeEntry* NodeTable::Restore(const RestoredNode& stored, bool mutating, base::Now now) {
  if (contains(stored.node)) return nullptr;
  const auto steady = [&now](absl::Time wall) { return now.steady + (wall - now.wall); };
  NodeEntry* entry = Add(stored.node);
  // A state that no version of the store writes tells nothing of what happened.
  const bool known = IsTerminal(stored.state) || MayFollow(stored.state, orch::v1::NODE_STATE_LOST);
  Count(entry, known ? stored.state : orch::v1::NODE_STATE_LOST);
  entry->send_time = stored.send_time;
  entry->accept_time = stored.accept_time;
  entry->start_time = stored.start_time;
  const bool asked = stored.batch_expiry != absl::InfinitePast();
  entry->started = mutating && asked;
  if (IsTerminal(entry->state)) {
    entry->phase = NodePhase::kEnded;
    // What the controller decided itself may still be contradicted by late evidence.
    entry->said_by_node = entry->state != orch::v1::NODE_STATE_NO_RESPONSE &&
                          entry->state != orch::v1::NODE_STATE_TIMED_OUT &&
                          entry->state != orch::v1::NODE_STATE_CANCELLED;
  } else if (!mutating) {
    entry->phase = NodePhase::kAsked;
  } else if (asked) {
    entry->phase = NodePhase::kAsked;
    SetDeadline(entry, IsUnderWay(entry->state) ? steady(stored.deadline)
                                                : steady(stored.batch_expiry) + kClockSkewMax);
  }
  return entry;
}

void NodeTable::Count(NodeEntry* entry, orch::v1::NodeState state) {
  --counts_[entry->state];
  ++counts_[state];
  if (IsTerminal(state) && !IsTerminal(entry->state)) --open_;
  entry->state = state;
}

void NodeTable::MarkChanged(NodeEntry* entry) {
  if (std::exchange(entry->changed, true)) return;
  changed_.push_back(entry->index);
}

void NodeTable::SetDeadline(NodeEntry* entry, absl::Duration at) {
  entry->deadline = at;
  if (at != absl::InfiniteDuration()) due_.push({at, entry->index});
}

NodeEntry* NodeTable::TakeOverdue(absl::Duration steady) {
  while (!due_.empty() && due_.top().at <= steady) {
    const Due due = due_.top();
    due_.pop();
    NodeEntry& entry = entries_[due.index];
    if (entry.deadline == due.at && entry.phase == NodePhase::kAsked) return &entry;
  }
  return nullptr;
}

std::optional<absl::Duration> NodeTable::NextDeadline() const {
  if (due_.empty()) return std::nullopt;
  return due_.top().at;
}

std::vector<std::string> NodeTable::OpenNames() const {
  std::vector<std::string> open;
  for (const NodeEntry& entry : entries_) {
    if (entry.phase != NodePhase::kEnded) open.push_back(entry.name);
  }
  return open;
}

std::vector<std::string> NodeTable::StartedNames() const {
  std::vector<std::string> started;
  for (const NodeEntry& entry : entries_) {
    if (entry.started && entry.phase != NodePhase::kEnded) started.push_back(entry.name);
  }
  return started;
}

void NodeTable::CountInto(orch::v1::Job* job) const {
  for (size_t state = 0; state < counts_.size(); ++state) {
    if (counts_[state] == 0) continue;
    orch::v1::NodeStateCount* count = job->add_counts();
    count->set_state(static_cast<orch::v1::NodeState>(state));
    count->set_count(counts_[state]);
  }
  job->set_targets(static_cast<uint32_t>(entries_.size()));
}

std::vector<NodeChange> NodeTable::TakeChanges(base::Now now) {
  std::vector<NodeChange> rows;
  rows.reserve(changed_.size());
  for (uint32_t index : changed_) {
    NodeEntry& entry = entries_[index];
    entry.changed = false;
    NodeChange row;
    row.node = entry.name;
    row.position = index;
    row.state = entry.state;
    row.sequence = entry.sequence;
    row.send_time = entry.send_time;
    row.late_evidence = entry.late_evidence;
    row.deadline = now.wall + (entry.deadline - now.steady);
    rows.push_back(std::move(row));
  }
  changed_.clear();
  return rows;
}

void NodeTable::ForgetChanges() {
  for (uint32_t index : changed_) entries_[index].changed = false;
  changed_.clear();
}

}  // namespace orch::controller
