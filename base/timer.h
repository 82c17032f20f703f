// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/compose.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/strand.h"

namespace orch::base {

// A timer that goes by a Clock: on the system's it is an asio::steady_timer, on a FakeClock it is
// due when FakeClock::Advance has come so far. Used like asio's, whose words it keeps:
// expires_after cancels what waits, a wait that was cancelled ends with operation_aborted, and one
// that was due before it was cancelled ends without an error.
//
// Lives on: the strand it is given, where waits end too.
class Timer {
 public:
  // `clock` outlives it.
  Timer(const Strand& strand, const Clock* clock) : timer_(strand), clock_(clock) {}
  ~Timer() { Forget(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void expires_after(absl::Duration wait) {
    Forget();
    TimerQueue* const queue = clock_->timers();
    if (queue == nullptr) {
      timer_.expires_after(absl::ToChronoNanoseconds(wait));
      return;
    }
    timer_.expires_at(asio::steady_timer::time_point::max());
    due_ = std::make_shared<bool>(false);
    queued_ = queue->Add(clock_->Read().steady + wait, [this, due = due_] {
      queued_.reset();
      *due = true;
      timer_.expires_at(asio::steady_timer::time_point::min());
    });
  }

  void cancel() {
    Forget();
    timer_.cancel();
  }

  // Completes when: the time has come. Errors: operation_aborted. Cancellation: ends the wait. Runs
  // on: the strand.
  template <typename Token>
  auto async_wait(Token&& token) {
    return asio::async_compose<Token, void(boost::system::error_code)>(Wait{&timer_, due_, false},
                                                                       token, timer_);
  }

 private:
  // A wait on a FakeClock ends by being cancelled; `due` tells whether that is why.
  struct Wait {
    asio::steady_timer* timer;  // used before async_wait returns, never later
    std::shared_ptr<const bool> due;
    bool waits;

    template <typename Self>
    void operator()(Self& self, boost::system::error_code error = {}) {
      if (!std::exchange(waits, true)) return timer->async_wait(std::move(self));
      self.complete(due != nullptr && *due ? boost::system::error_code() : error);
    }
  };

  void Forget() {
    if (queued_.has_value()) clock_->timers()->Remove(*queued_);
    queued_.reset();
  }

  asio::steady_timer timer_;
  const Clock* const clock_;
  // Of a FakeClock only: this expiry's entry in the queue, and whether it has come.
  std::optional<TimerQueue::Id> queued_;
  std::shared_ptr<bool> due_;
};

}  // namespace orch::base
