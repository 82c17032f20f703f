// SPDX-License-Identifier: Apache-2.0
#include "test/sim/process.h"

#include <algorithm>
#include <utility>

namespace orch::sim {
namespace {

constexpr absl::Duration kWorkLeast = absl::Microseconds(200);
constexpr absl::Duration kWorkMost = absl::Milliseconds(12);

}  // namespace

void SlowWorker::Post(std::function<void()> work) {
  if (stopped_) return;
  waiting_.push_back(std::move(work));
  busy_until_ = std::max(busy_until_, world_->now()) + world_->Between(kWorkLeast, kWorkMost);
  process_->After(busy_until_ - world_->now(), [this] { Next(); });
}

void SlowWorker::PostAfter(absl::Duration delay, std::function<void()> work) {
  process_->After(delay, [this, work = std::move(work)] { Post(work); });
}

void SlowWorker::Drop() {
  stopped_ = true;
  const auto dropped = std::exchange(waiting_, {});
}

void SlowWorker::Next() {
  if (stopped_ || process_->frozen()) return;
  const std::function<void()> work = std::move(waiting_.front());
  waiting_.pop_front();
  work();
  if (after_work_) after_work_();
}

Process::Process(World* world, std::string name, absl::Duration skew)
    : world_(world),
      name_(std::move(name)),
      clock_(world->wall() + skew),
      random_(world->random()->Next64()),
      now_(world->now()),
      worker_(world, this) {
  world_->Join(this);
}

Process::~Process() {
  world_->Leave(this);
  // What waits may hold the strand, and goes before it.
  worker_.Drop();
  clock_.timers()->Clear();
}

void Process::Post(std::function<void()> work) {
  ready_ = true;
  base::asio::post(strand_, std::move(work));
}

void Process::After(absl::Duration wait, std::function<void()> happens) {
  clock_.timers()->Add(clock_.Read().steady + std::max(wait, absl::ZeroDuration()),
                       std::move(happens));
}

bool Process::RunReady() {
  if (frozen_ || !std::exchange(ready_, false)) return false;
  io_.restart();
  return io_.poll() > 0;
}

void Process::AdvanceTo(absl::Duration now) {
  if (frozen_) return;
  const absl::Duration by = now - std::exchange(now_, now);
  if (clock_.Advance(by) > 0) ready_ = true;
}

}  // namespace orch::sim
