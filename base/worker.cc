// SPDX-License-Identifier: Apache-2.0
#include "base/worker.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace orch::base {
namespace {

class ThreadWorker : public Worker {
 public:
  ThreadWorker() : thread_([this] { Run(); }) {}
  ~ThreadWorker() override { ThreadWorker::Stop(); }

  void Post(std::function<void()> work) override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (stopping_) return;
      ready_.push_back(std::move(work));
    }
    wake_.notify_one();
  }

  void PostAfter(absl::Duration delay, std::function<void()> work) override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (stopping_) return;
      later_.emplace(std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(delay),
                     std::move(work));
    }
    wake_.notify_one();
  }

  void Stop() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      TakeDue();
      if (ready_.empty()) {
        if (stopping_) return;
        later_.empty() ? wake_.wait(lock) : (void)wake_.wait_until(lock, later_.begin()->first);
        continue;
      }
      std::function<void()> work = std::move(ready_.front());
      ready_.pop_front();
      lock.unlock();
      work();
      work = nullptr;  // what it holds is let go without the lock
      lock.lock();
    }
  }

  void TakeDue() {
    const auto now = std::chrono::steady_clock::now();
    while (!stopping_ && !later_.empty() && later_.begin()->first <= now) {
      ready_.push_back(std::move(later_.begin()->second));
      later_.erase(later_.begin());
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> ready_;  // under mutex_, like the rest
  std::multimap<std::chrono::steady_clock::time_point, std::function<void()>> later_;
  bool stopping_ = false;
  std::thread thread_;  // the last: it uses the others
};

}  // namespace

std::unique_ptr<Worker> NewThreadWorker() { return std::make_unique<ThreadWorker>(); }

void InlineWorker::Post(std::function<void()> work) {
  if (*stopped_) return;
  waiting_.push_back(std::move(work));
  if (std::exchange(working_, true)) return;
  for (size_t next = 0; next < waiting_.size(); ++next) std::exchange(waiting_[next], nullptr)();
  waiting_.clear();
  working_ = false;
}

void InlineWorker::PostAfter(absl::Duration delay, std::function<void()> work) {
  if (*stopped_) return;
  clock_->timers()->Add(clock_->Read().steady + delay,
                        [this, stopped = std::weak_ptr<bool>(stopped_), work = std::move(work)] {
                          if (!stopped.expired()) Post(work);
                        });
}

}  // namespace orch::base
