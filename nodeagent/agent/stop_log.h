// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/log.h"
#include "nodeagent/agent/ladder.h"
#include "nodeagent/agent/message.h"
#include "orch/v1/node.pb.h"

namespace orch::nodeagent {

// Refusals that status shows.
inline constexpr size_t kRecentStopsMax = 20;

// Controllers that are refused, and that presence messages name: so many, and so long after the
// last of their requests.
inline constexpr size_t kControllerRefusalsMax = 8;
inline constexpr absl::Duration kControllerRefusalKept = absl::Minutes(10);

// A request that stopped, for status.
struct RecentStop {
  absl::Time time;
  Stop stop;
  std::string signer;
  std::string what;
};

// What is said of requests that stop: each is counted; what does not belong to a fleet's ordinary
// day is logged, one rung of one signer once a minute, and the last ones are kept for status.
//
// Lives on: the agent's strand.
class StopLog {
 public:
  void Note(const Message& message, const Stop& stop);
  void CountReceived() { ++counters_.received; }
  void CountPassed() { ++counters_.passed; }

  const LadderCounters& counters() const { return counters_; }
  const std::deque<RecentStop>& recent() const { return recent_; }
  // Controllers whose signature was proven and that are refused all the same, by name.
  std::vector<orch::v1::ControllerRefusal> controller_refusals(absl::Time now) const;

 private:
  LadderCounters counters_;
  std::deque<RecentStop> recent_;
  std::map<std::string, RecentStop> refused_controllers_;  // by signer
  base::LogLimiter limiter_;
};

}  // namespace orch::nodeagent
