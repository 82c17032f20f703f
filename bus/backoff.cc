// SPDX-License-Identifier: Apache-2.0
#include "bus/backoff.h"

#include <algorithm>

namespace orch::bus {

Backoff::Attempt Backoff::Next(uint64_t random) {
  Attempt attempt{next_, absl::ZeroDuration()};
  if (!first_) {
    // 53 bits are what a double holds exactly.
    const double fraction = static_cast<double>(random >> 11) * 0x1.0p-53;
    attempt.wait = ceiling() * fraction;
    ++attempts_;
  }
  first_ = false;
  next_ = (next_ + 1) % brokers_;
  return attempt;
}

void Backoff::OnLost(absl::Duration lasted) {
  if (lasted >= kStableAfter) attempts_ = 0;
}

absl::Duration Backoff::ceiling() const {
  constexpr uint64_t kDoublingsMax = 30;
  const uint64_t doublings = std::min(attempts_ / brokers_, kDoublingsMax);
  return std::min(max_, min_ * static_cast<int64_t>(uint64_t{1} << doublings));
}

}  // namespace orch::bus
