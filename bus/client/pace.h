// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "base/clock.h"

namespace orch::bus {

// Says how long to put off the next read, so that over time no more than a given number of messages
// a second are read: a token bucket that holds the messages of one second and may be overdrawn.
//
// Pure. Lives on: its owner's strand.
class Pace {
 public:
  // This many bytes count as one more message.
  static constexpr size_t kBytesPerMessage = 16 << 10;

  // `per_second` 0: no limit.
  Pace(uint32_t per_second, base::Now now)
      : per_second_(per_second), credit_(per_second), at_(now.steady) {}

  // Takes account of what was just read. Returns how long to wait before the next read; zero: read
  // on.
  absl::Duration Take(uint64_t messages, size_t bytes, base::Now now) {
    if (per_second_ == 0) return absl::ZeroDuration();
    credit_ += per_second_ * absl::ToDoubleSeconds(now.steady - at_);
    if (credit_ > per_second_) credit_ = per_second_;
    at_ = now.steady;
    credit_ -= static_cast<double>(messages) + static_cast<double>(bytes) / kBytesPerMessage;
    if (credit_ >= 0) return absl::ZeroDuration();
    return absl::Seconds(-credit_ / per_second_);
  }

 private:
  const double per_second_;
  double credit_;
  absl::Duration at_;  // steady
};

}  // namespace orch::bus
