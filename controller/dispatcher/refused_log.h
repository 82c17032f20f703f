// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "base/clock.h"
#include "base/log.h"
#include "controller/context/metrics.h"
#include "controller/mail/inbox.h"

namespace orch::controller {

// Keys of certificates whose bad envelopes are counted one by one.
inline constexpr size_t kBadKeysMax = 1000;

// What is said of envelopes that were refused: each is counted by why, and for each certificate a
// line a minute tells how many there were. However many come, it costs no more than kBadKeysMax
// entries.
//
// Lives on: the dispatcher's strand.
class RefusedLog {
 public:
  static void Count(const RefusedEnvelope& refused, DispatcherMetrics* metrics);
  void Tell(const RefusedEnvelope& refused, base::Now now);

 private:
  absl::flat_hash_map<std::string, uint64_t> bad_keys_;
  base::LogLimiter limiter_;
};

}  // namespace orch::controller
