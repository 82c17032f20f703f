// SPDX-License-Identifier: Apache-2.0
#include "bus/client/backoff.h"

#include <algorithm>
#include <numeric>
#include <random>

namespace orch::bus {

Backoff::Backoff(size_t brokers, Order order, Times times, bool spread_start, uint64_t seed)
    : times_(times), order_(brokers), last_(brokers), wait_(spread_start) {
  std::iota(order_.begin(), order_.end(), size_t{0});
  std::mt19937_64 random(seed);
  if (order == Order::kRandom) std::shuffle(order_.begin(), order_.end(), random);
}

Backoff::Attempt Backoff::Next(uint64_t random) {
  absl::Duration wait = absl::ZeroDuration();
  if (turn_.empty()) {
    // 53 bits are what a double holds exactly.
    wait = ceiling() * (static_cast<double>(random >> 11) * 0x1.0p-53);
    BeginTurn();
  }
  last_ = turn_.back();
  turn_.pop_back();
  if (turn_.empty()) ++failed_turns_;  // taken back by a connection that lasts
  return {last_, wait};
}

void Backoff::BeginTurn() {
  turn_.assign(order_.rbegin(), order_.rend());
  if (lost_ && last_ < order_.size()) {
    turn_.erase(std::find(turn_.begin(), turn_.end(), last_));
    turn_.insert(turn_.begin(), last_);
  }
  lost_ = false;
  wait_ = true;
}

void Backoff::OnLost(absl::Duration lasted) {
  if (lasted >= kStableAfter) {
    failed_turns_ = 0;
  } else if (!turn_.empty()) {
    ++failed_turns_;  // Next has counted a turn that is complete
  }
  turn_.clear();
  lost_ = true;
}

absl::Duration Backoff::ceiling() const {
  if (!turn_.empty() || !wait_) return absl::ZeroDuration();
  constexpr uint64_t kDoublingsMax = 30;
  absl::Duration back_off = absl::ZeroDuration();
  if (failed_turns_ > 0) {
    const uint64_t doublings = std::min(failed_turns_ - 1, kDoublingsMax);
    back_off = std::min(times_.max, times_.min * static_cast<int64_t>(uint64_t{1} << doublings));
  }
  return std::max(times_.spread, back_off);
}

}  // namespace orch::bus
