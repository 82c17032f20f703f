// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "controller/job/job_values.h"
#include "orch/v1/job.pb.h"

namespace orch::controller {

// What the controller has done about a node, beside what the node's state says of it.
enum class NodePhase : uint8_t {
  kWaiting,  // for its start
  kClaimed,  // a request is being made for it
  kAsked,    // the request was handed to the bus
  kEnded,    // it has its outcome
};

// One node of a job.
struct NodeEntry {
  std::string name;
  uint32_t index = 0;
  orch::v1::NodeState state = orch::v1::NODE_STATE_PENDING;
  NodePhase phase = NodePhase::kWaiting;
  bool started = false;       // the rollout counts it
  bool said_by_node = false;  // the outcome
  bool changed = false;       // since TakeChanges
  uint32_t progress = 0;
  uint32_t progress_bytes = 0;
  uint64_t progress_sequence = 0;
  uint64_t sequence = 0;  // of the event that tells of its state
  absl::Duration deadline = absl::InfiniteDuration();
  absl::Duration accepted_at = -absl::InfiniteDuration();  // steady, heard by this process
  absl::Time send_time = absl::InfinitePast();
  absl::Time accept_time = absl::InfinitePast();  // mutating
  absl::Time start_time = absl::InfinitePast();   // of the action, as far as it was heard
  absl::Time last_seen = absl::InfinitePast();    // when the job began
  bool unknown = false;                           // to the roster
  bool gone = false;                              // its agent was stopped before the job began
  std::string late_evidence;
  uint32_t late = 0;
};

// How much progress of a job's nodes is kept; what is beyond it is counted.
class ProgressBudget {
 public:
  // Whether there is room for so much more of this node.
  bool Take(NodeEntry* entry, size_t bytes) {
    if (entry->progress >= kProgressPerNodeMax || taken_ >= kProgressPerJobMax ||
        entry->progress_bytes + bytes > kProgressBytesPerNodeMax) {
      ++dropped_;
      return false;
    }
    ++entry->progress;
    entry->progress_bytes += static_cast<uint32_t>(bytes);
    ++taken_;
    return true;
  }
  uint64_t dropped() const { return dropped_; }

 private:
  uint32_t taken_ = 0;
  uint64_t dropped_ = 0;
};

// The nodes of one job: found by name, counted by state, by their deadlines, and which of them the
// store does not know yet as they are. The counts always sum to the number of nodes, and no node
// ever changes its state against the table in states.h: that is asserted here, once for all who
// change one.
//
// Pure. Entries stay where they are for the table's life, so a pointer to one stays good.
class NodeTable {
 public:
  // A node that is PENDING and waits. There must be none of this name yet.
  NodeEntry* Add(const std::string& name);
  // Null: not a node of this job.
  NodeEntry* Find(const std::string& name);
  const NodeEntry* Find(const std::string& name) const;
  // Nullopt: not a node of this job.
  std::optional<orch::v1::NodeState> StateOf(const std::string& name) const;
  bool contains(const std::string& name) const { return index_.contains(name); }
  size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  std::deque<NodeEntry>& entries() { return entries_; }
  const std::deque<NodeEntry>& entries() const { return entries_; }

  void Move(NodeEntry* entry, orch::v1::NodeState to);
  // Takes an outcome back, which no rule allows: for test/sim, which must notice it.
  void Reopen(NodeEntry* entry);
  // Adds a node as the store has it. Null: it is there already.
  NodeEntry* Restore(const RestoredNode& stored, bool mutating, base::Now now);
  void MarkChanged(NodeEntry* entry);

  // Infinite: none.
  void SetDeadline(NodeEntry* entry, absl::Duration at);
  // The next node that was asked and whose deadline has passed; null: none. Each comes once.
  NodeEntry* TakeOverdue(absl::Duration steady);
  // May be earlier than the first deadline, never later.
  std::optional<absl::Duration> NextDeadline() const;

  // Names of nodes without an outcome, and of those of them that a request was made for.
  std::vector<std::string> OpenNames() const;
  std::vector<std::string> StartedNames() const;
  // Nodes without an outcome, and in one state.
  uint32_t open() const { return open_; }
  uint32_t count(orch::v1::NodeState state) const { return counts_[state]; }
  // Fills in the counts and the number of targets.
  void CountInto(orch::v1::Job* job) const;
  // Rows of nodes that changed since the last time.
  std::vector<NodeChange> TakeChanges(base::Now now);
  // What is known now is what the store has.
  void ForgetChanges();

 private:
  void Count(NodeEntry* entry, orch::v1::NodeState state);

  struct Due {
    absl::Duration at;
    uint32_t index;
    bool operator<(const Due& other) const { return at > other.at; }  // the earliest on top
  };

  std::deque<NodeEntry> entries_;
  absl::flat_hash_map<std::string, uint32_t> index_;
  std::priority_queue<Due> due_;  // entries whose node has another deadline by now are void
  std::array<uint32_t, orch::v1::NodeState_ARRAYSIZE> counts_{};
  uint32_t open_ = 0;
  std::vector<uint32_t> changed_;
};

}  // namespace orch::controller
