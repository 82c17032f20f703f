// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <chrono>

namespace orch::base {
namespace {

class System : public Clock {
 public:
  Now Read() const override {
    return Now{absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch()), absl::Now()};
  }
};

}  // namespace

const Clock& SystemClock() {
  static const System* const clock = new System;
  return *clock;
}

}  // namespace orch::base
