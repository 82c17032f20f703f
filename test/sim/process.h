// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "base/strand.h"
#include "base/worker.h"
#include "test/sim/world.h"

namespace orch::sim {

// A worker that takes its time: work is done a while after it was posted, between two events of its
// process; what was not done when the process is killed never is, as with an fsync that did not
// come.
class SlowWorker : public base::Worker {
 public:
  SlowWorker(World* world, Process* process) : world_(world), process_(process) {}
  void Post(std::function<void()> work) override;
  void PostAfter(absl::Duration delay, std::function<void()> work) override;
  void Stop() override { stopped_ = true; }
  // Drops what waits.
  void Drop();
  // Called after each piece of work, before its process hears of it: the worst moment to die.
  void set_after_work(std::function<void()> call) { after_work_ = std::move(call); }

 private:
  void Next();

  World* const world_;
  Process* const process_;
  std::deque<std::function<void()>> waiting_;
  absl::Duration busy_until_;
  bool stopped_ = false;
  std::function<void()> after_work_;
};

// One life of a controller or a node agent: an io_context that is polled, a clock, dice and a
// worker of its own. Its destruction is a SIGKILL: nothing that waits is done or told any more.
class Process {
 public:
  // `skew`: its wall clock minus a right one.
  Process(World* world, std::string name, absl::Duration skew);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  const std::string& name() const { return name_; }
  base::asio::io_context* io() { return &io_; }
  const base::Strand& strand() const { return strand_; }
  const base::FakeClock& clock() const { return clock_; }
  base::Random* random() { return &random_; }
  SlowWorker* worker() { return &worker_; }

  // Runs on the strand at the next opportunity.
  void Post(std::function<void()> work);
  // Happens then, beside the strand, unless the process was killed.
  void After(absl::Duration wait, std::function<void()> happens);
  // It is dead, but not buried: nothing of it runs any more.
  void Freeze() { frozen_ = true; }
  bool frozen() const { return frozen_; }

  // For the world. True: something ran.
  bool RunReady();
  void AdvanceTo(absl::Duration now);

 private:
  World* const world_;
  const std::string name_;
  base::FakeClock clock_;
  base::SeededRandom random_;
  absl::Duration now_;
  bool ready_ = true;
  bool frozen_ = false;
  SlowWorker worker_;
  // The last: what its handlers hold uses the others while it goes.
  base::asio::io_context io_{1};
  const base::Strand strand_{io_.get_executor()};
};

}  // namespace orch::sim
