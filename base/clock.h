// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace orch::base {

// One reading of both clocks. Pure code takes it as an argument (`Now now`) and never asks a clock
// itself.
struct Now {
  // Since some fixed moment before the process started; never steps. For timeouts and ages within
  // this process.
  absl::Duration steady;
  // UTC. For what is stored, signed or shown.
  absl::Time wall;
};

// Gives shells their readings of the clocks. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Now Read() const = 0;
};

// The system's clocks. Lives forever.
const Clock& SystemClock();

// A clock for tests, which stands still until it is told to move. Not thread-safe.
class FakeClock : public Clock {
 public:
  explicit FakeClock(absl::Time wall = absl::FromUnixSeconds(1'800'000'000)) {
    now_.steady = absl::Hours(1);
    now_.wall = wall;
  }
  Now Read() const override { return now_; }
  void Advance(absl::Duration by) {
    now_.steady += by;
    now_.wall += by;
  }
  // Steps the wall clock alone, as an administrator or NTP would.
  void StepWall(absl::Duration by) { now_.wall += by; }

 private:
  Now now_;
};

}  // namespace orch::base
