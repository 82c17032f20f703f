// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "nodeagent/agent/replies.h"
#include "orch/bus/v1/reply.pb.h"

namespace orch::nodeagent {

inline constexpr int kRunningMaxDefault = 16;
// Accepted requests that wait for others, as for Puppet's lock or their splay.
inline constexpr int kWaitingMax = 64;

// A request that is being carried out.
struct Running {
  std::shared_ptr<Exchange> exchange;
  std::string action;
  std::string caller;
  bool mutates = false;
  absl::Time accept_time;
  bool waits = false;  // for others; it does nothing itself
};

// How actions ended, since the start.
struct RunCounters {
  std::array<uint64_t, orch::v1::NodeState_MAX + 1> ended = {};
  std::array<uint64_t, orch::v1::PuppetRunVerdict_MAX + 1> verdicts = {};
  uint64_t journal_failures = 0;
};

// The requests that passed the ladder and have not ended, and how many there may be: `max` that
// change something, those on their way into the journal counted in, as many that only read, and
// kWaitingMax that wait. None of the three takes the others' room.
//
// Lives on: the agent's strand.
class UnderWay {
 public:
  UnderWay(const base::Clock* clock, int max) : clock_(clock), max_(max) {}

  // Why there is no room for one more; nullopt if there is.
  std::optional<std::string> WhyFull(bool mutates) const;
  // A mutating request is on its way into the journal, and has got there or not.
  void BeginAccepting(const std::string& request_id) { accepting_.insert(request_id); }
  void EndAccepting(const std::string& request_id) { accepting_.erase(request_id); }

  // Logs `event` with the ids that the controller's log has.
  void Add(const std::string& request_id, Running running, absl::string_view event);
  bool Contains(const std::string& request_id) const { return running_.contains(request_id); }
  // Null: it is not under way.
  Running* Find(const std::string& request_id);
  // Counts and logs its end; nullopt: it was not under way.
  std::optional<Running> End(const std::string& request_id, const orch::bus::v1::Outcome& outcome);
  void Log(absl::string_view event, const std::string& request_id,
           const orch::bus::v1::Outcome* outcome = nullptr) const;
  void CountJournalFailure() { ++counters_.journal_failures; }

  const std::map<std::string, Running>& running() const { return running_; }
  const RunCounters& counters() const { return counters_; }

 private:
  const base::Clock* const clock_;
  const int max_;
  std::map<std::string, Running> running_;  // by request id
  std::set<std::string> accepting_;         // request ids
  RunCounters counters_;
};

}  // namespace orch::nodeagent
