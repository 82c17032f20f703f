// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"

namespace orch::base {

// Does what blocks (SQLite, fsync, large files) beside the strands, one piece after the other, in
// the order in which it was posted. Whoever wants an answer posts it home from there. Whatever is
// posted to one worker may share data without a lock.
//
// Thread-safe: Post and PostAfter may be called from anywhere, also from work.
class Worker {
 public:
  virtual ~Worker() = default;
  virtual void Post(std::function<void()> work) = 0;
  // The same, not before `delay` has passed.
  virtual void PostAfter(absl::Duration delay, std::function<void()> work) = 0;
  // Returns when all that was posted before has been done; what waits for its time never is, and
  // later posts are dropped. Not from work.
  virtual void Stop() = 0;
};

// One thread of its own. Its destruction is a Stop.
std::unique_ptr<Worker> NewThreadWorker();

// No thread: work is done at once, by whoever posts it; what is posted from work follows it, and
// what waits goes by `clock`. For tests.
class InlineWorker : public Worker {
 public:
  explicit InlineWorker(const FakeClock* clock) : clock_(clock) {}
  void Post(std::function<void()> work) override;
  void PostAfter(absl::Duration delay, std::function<void()> work) override;
  void Stop() override { *stopped_ = true; }

 private:
  const FakeClock* const clock_;
  std::shared_ptr<bool> stopped_ = std::make_shared<bool>(false);
  bool working_ = false;
  std::vector<std::function<void()>> waiting_;
};

}  // namespace orch::base
