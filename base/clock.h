// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

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

// The timers of a clock that is moved by hand, in the order in which they are due; of those that
// are due together the one that was set first comes first. Not thread-safe.
class TimerQueue {
 public:
  using Id = std::pair<absl::Duration, uint64_t>;

  // `due` is called once, by RunDue; it may add and remove timers.
  Id Add(absl::Duration at, std::function<void()> due);
  void Remove(Id id) { timers_.erase(id); }
  // Drops all of them, uncalled.
  void Clear() { const auto dropped = std::exchange(timers_, {}); }
  // When the next is due; nullopt: none is set.
  std::optional<absl::Duration> Next() const;
  // Calls those that are due at `now`. How many there were.
  size_t RunDue(absl::Duration now);

 private:
  std::map<Id, std::function<void()>> timers_;
  uint64_t last_ = 0;
};

// Where a shell gets its readings from, and what its timers (base/timer.h) wait for. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Now Read() const = 0;
  // Null: time passes by itself, and timers wait for the system's.
  virtual TimerQueue* timers() const { return nullptr; }
};

// The system's clocks. Lives forever.
const Clock& SystemClock();

// Stands still until told, and the timers that go by it with it. Not thread-safe; for tests.
class FakeClock : public Clock {
 public:
  explicit FakeClock(absl::Time wall = absl::FromUnixSeconds(1'800'000'000)) {
    now_.steady = absl::Hours(1);
    now_.wall = wall;
  }
  Now Read() const override { return now_; }
  TimerQueue* timers() const override { return &timers_; }
  // Timers that are due by then are told so once the clock stands there, as after a machine's
  // sleep. How many there were; what they call comes when their io_context runs.
  size_t Advance(absl::Duration by) {
    now_.steady += by;
    now_.wall += by;
    return timers_.RunDue(now_.steady);
  }
  // Steps the wall clock alone, as an administrator or NTP would.
  void StepWall(absl::Duration by) { now_.wall += by; }

 private:
  Now now_;
  mutable TimerQueue timers_;
};

}  // namespace orch::base
