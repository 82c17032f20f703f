// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "nodeagent/agent/replay_window.h"
#include "nodeagent/journal/journal_store.h"

namespace orch::nodeagent {

// Jobs that were cancelled, for as long as a request of theirs could be valid: a cancel may
// overtake its requests, and a broker may hold one back until this agent was started again. In
// memory at once, and durable in the journal as soon as that has written it.
//
// Lives on: the agent's strand.
class Cancels {
 public:
  explicit Cancels(JournalStore* journal) : journal_(journal) {}

  // Reads back what was cancelled before the restart. The journal answers in order: whatever it
  // accepts later finds them here.
  void Load(const base::Clock* clock);
  // A cancel that was issued then.
  void Add(const std::string& job_id, absl::Time issue_time, base::Now now);
  bool Contains(const std::string& job_id, base::Now now) const {
    return jobs_.Contains(job_id, now.wall);
  }

 private:
  JournalStore* const journal_;
  ReplayWindow jobs_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace orch::nodeagent
