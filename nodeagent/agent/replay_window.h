// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"

namespace orch::nodeagent {

// At most so many keys are remembered: over 250 requests a second for the usual 60 s.
inline constexpr size_t kReplayWindowMax = 16384;

// Remembers keys until a moment of their own, so that what came before is known again: requests
// that change nothing, jobs that were cancelled. Never forgets a live key to make room for a new
// one. Pure.
class ReplayWindow {
 public:
  explicit ReplayWindow(size_t max = kReplayWindowMax) : max_(max) {}
  enum class Added { kNew, kSeen, kFull };
  Added Add(const std::string& key, absl::Time until, absl::Time now);
  bool Contains(const std::string& key, absl::Time now) const;
  size_t size() const { return keys_.size(); }

 private:
  void Forget(absl::Time now);

  const size_t max_;
  absl::flat_hash_map<std::string, absl::Time> keys_;
  std::multimap<absl::Time, std::string> by_end_;
};

}  // namespace orch::nodeagent
