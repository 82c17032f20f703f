// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace orch::bus {

// Which broker to try next, and how long to wait before: exponential back-off with full jitter
// (each wait is uniform between nothing and the ceiling), so that ten thousand nodes that lost one
// broker come back spread out.
//
// The brokers are taken in turn; the ceiling doubles after each full turn, from `min` to `max`, and
// starts over only after a connection that lasted kStableAfter: a broker that accepts and hangs up
// at once is not hammered. The very first attempt does not wait.
//
// Pure: time and randomness are arguments. Lives on: its owner's strand.
class Backoff {
 public:
  static constexpr absl::Duration kStableAfter = absl::Seconds(5);

  struct Attempt {
    size_t broker;        // index
    absl::Duration wait;  // before trying it
  };

  // `brokers` ≥ 1, 0 < `min` ≤ `max`.
  Backoff(size_t brokers, absl::Duration min, absl::Duration max)
      : brokers_(brokers), min_(min), max_(max) {}

  // `random` is uniform over all 64 bits. Each call moves on to the next broker.
  Attempt Next(uint64_t random);
  // A connection is over that had been usable for `lasted`.
  void OnLost(absl::Duration lasted);
  // The longest that Next could answer now.
  absl::Duration ceiling() const;

 private:
  size_t brokers_;
  absl::Duration min_;
  absl::Duration max_;
  size_t next_ = 0;        // broker
  uint64_t attempts_ = 0;  // since the last stable connection, or the start
  bool first_ = true;
};

}  // namespace orch::bus
