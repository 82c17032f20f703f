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

TimerQueue::Id TimerQueue::Add(absl::Duration at, std::function<void()> due) {
  const Id id(at, ++last_);
  timers_.emplace(id, std::move(due));
  return id;
}

std::optional<absl::Duration> TimerQueue::Next() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first.first;
}

size_t TimerQueue::RunDue(absl::Duration now) {
  size_t count = 0;
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    const auto due = timers_.extract(timers_.begin());
    ++count;
    due.mapped()();
  }
  return count;
}

const Clock& SystemClock() {
  static const System* const clock = new System;
  return *clock;
}

}  // namespace orch::base
