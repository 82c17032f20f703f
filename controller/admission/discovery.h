// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "controller/job/job.h"
#include "controller/roster/roster.h"
#include "orch/bus/v1/reply.pb.h"

namespace orch::controller {

// How long expected nodes may stay silent in a discovery.
inline constexpr absl::Duration kDiscoverTimeout = absl::Seconds(2);

// How a discovery is told to wait.
struct DiscoveryOptions {
  bool named_only = false;    // answers of nodes that are not in `Resolved` are ignored
  bool roster_known = false;  // who matches is known; else unexpected nodes are waited for
  absl::Duration timeout = kDiscoverTimeout;
};

// Collects who answers a discovery: over when every node that is waited for has answered, or the
// time is up. When nobody is expected, or the roster does not know yet whom to expect, it must have
// become quiet as well.
//
// Pure. Lives on: the dispatcher's strand.
class Discovery {
 public:
  Discovery(const Resolved& resolved, DiscoveryOptions options) : options_(options) {
    waited_for_.insert(resolved.expected.begin(), resolved.expected.end());
    waited_for_.insert(resolved.unknown.begin(), resolved.unknown.end());
    named_ = waited_for_;
    maybe_.insert(resolved.maybe.begin(), resolved.maybe.end());
    until_quiet_ = !options_.roster_known || nobody_waited_for();
  }

  // The question is on its way.
  void OnPublished(base::Now now) {
    deadline_ = now.steady + options_.timeout;
    stretch_max_ = now.steady + kAnswerStretchMax * options_.timeout;
    if (until_quiet_ && options_.roster_known) quiet_ = now.steady + kQuietWindow;
  }
  // Of those that are waited for, these may not have heard the question, because they were away.
  // They are waited for until then, and as long as others once they are back.
  void ExpectBack(const std::vector<std::string>& nodes, absl::Duration until);
  // The node is there. Whether it is to be asked again.
  bool OnBack(const std::string& node, base::Now now);
  // Whether it was expected back, and never came.
  bool IsAway(const std::string& node) const { return away_.contains(node); }
  // A verified answer; the first of a node counts. While answers keep coming the time is stretched.
  void OnDiscovered(const std::string& node, const orch::bus::v1::Discovered& answer,
                    base::Now now);
  bool over(base::Now now) const;
  // When it is over though nobody else answers; steady.
  absl::Duration NextDeadline() const {
    return std::min(away_.empty() ? deadline_ : std::max(deadline_, back_until_), quiet_);
  }

  // Sorted.
  std::vector<std::string> Willing() const;
  // Those that would not, with DENIED or REFUSED.
  std::vector<JobNodeStart> Declined() const;
  // Expected, and silent; sorted.
  std::vector<std::string> Silent() const;
  // Silent, and perhaps not meant at all.
  size_t silent_maybes() const { return maybe_.size(); }

 private:
  bool nobody_waited_for() const { return waited_for_.empty() && maybe_.empty(); }

  const DiscoveryOptions options_;
  bool until_quiet_ = false;
  absl::flat_hash_set<std::string> waited_for_, named_, maybe_;
  absl::flat_hash_set<std::string> away_;  // of waited_for_ and maybe_
  absl::Duration back_until_ = absl::ZeroDuration();
  std::map<std::string, orch::bus::v1::Discovered> answers_;
  absl::Duration deadline_ = absl::InfiniteDuration();
  absl::Duration stretch_max_ = absl::ZeroDuration();
  absl::Duration quiet_ = absl::InfiniteDuration();
};

}  // namespace orch::controller
