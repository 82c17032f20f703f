// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace orch::bus {

// Decides which broker to try next and how long to wait before the attempt.
//
// Brokers are taken in turns: a turn is every broker of the list once, one right after the other,
// so that a dead one costs no time where another one lives. Waiting is between turns only, uniform
// between nothing and a ceiling (full jitter). The ceiling is never below `spread`: ten thousand
// nodes that lost one broker at the same moment don't reach the next one in the same second, nor do
// they come all at once when the only one returns, and a single node is hardly later for it. Once
// every broker has failed it is that of exponential back-off, from `min` doubling to `max`.
//
// With Order::kPriority a turn begins with the first broker of the list; with Order::kRandom each
// process has a shuffled list of its own. In either, the broker that was just lost comes last. A
// connection that works is never given up for a preferred broker: that would be a second outage.
// A connection that was lost within kStableAfter counts as a failure: a broker that accepts and
// hangs up at once is not hammered.
//
// Pure: time and randomness are arguments. Lives on: its owner's strand.
class Backoff {
 public:
  static constexpr absl::Duration kStableAfter = absl::Seconds(5);

  enum class Order : uint8_t { kPriority, kRandom };
  struct Times {
    absl::Duration spread;  // ≥ 0
    absl::Duration min;     // > 0
    absl::Duration max;     // ≥ min
  };
  struct Attempt {
    size_t broker;        // index
    absl::Duration wait;  // before trying it
  };

  // `brokers` ≥ 1. Without `spread_start` the very first attempt does not wait. `seed` decides a
  // random order.
  Backoff(size_t brokers, Order order, Times times, bool spread_start, uint64_t seed);

  // `random` is uniform over all 64 bits. Each call moves on to the next broker.
  Attempt Next(uint64_t random);
  // The connection that the last attempt brought is over; it had been usable for `lasted`. Not for
  // one that never became usable: that is an attempt that failed, and the turn goes on.
  void OnLost(absl::Duration lasted);
  // The longest that Next could answer now.
  absl::Duration ceiling() const;

 private:
  void BeginTurn();

  const Times times_;
  std::vector<size_t> order_;  // of the brokers, constant after construction
  std::vector<size_t> turn_;   // what is left of the turn, next at the end
  size_t last_;                // tried; as many as there are brokers: none yet
  bool lost_ = false;          // the next turn begins with a loss
  uint64_t failed_turns_ = 0;  // since the last stable connection, or the start
  bool wait_ = false;          // before the next turn
};

}  // namespace orch::bus
