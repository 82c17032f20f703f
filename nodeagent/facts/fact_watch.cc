// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/facts/fact_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace orch::nodeagent {

struct FactWatch::State : std::enable_shared_from_this<FactWatch::State> {
  explicit State(base::Strand strand) : events(strand), timer(strand) {}

  void AwaitEvent();
  void AwaitTimer(absl::Duration in);
  void OnTimer();

  base::asio::posix::stream_descriptor events;
  base::asio::steady_timer timer;
  std::function<void()> on_change;
  std::set<int> watches;
  absl::Status status;
  bool polling = false;
};

void FactWatch::State::AwaitEvent() {
  events.async_wait(base::asio::posix::descriptor_base::wait_read,
                    [weak = weak_from_this()](boost::system::error_code error) {
                      const auto self = weak.lock();
                      // The events stay in the kernel meanwhile, where they are bounded.
                      if (!error && self != nullptr) self->AwaitTimer(kWatchGather);
                    });
}

void FactWatch::State::AwaitTimer(absl::Duration in) {
  timer.expires_after(absl::ToChronoNanoseconds(in));
  timer.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    const auto self = weak.lock();
    if (!error && self != nullptr) self->OnTimer();
  });
}

void FactWatch::State::OnTimer() {
  char buffer[16 << 10];
  while (events.is_open() && read(events.native_handle(), buffer, sizeof buffer) > 0) {
  }
  if (on_change) on_change();
  if (polling) return AwaitTimer(kWatchPoll);
  AwaitEvent();
}

FactWatch::FactWatch(base::Strand strand) : state_(std::make_shared<State>(std::move(strand))) {
  const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) {
    state_->status = absl::ErrnoToStatus(errno, "inotify");
    return;
  }
  state_->events.assign(fd);
}

FactWatch::~FactWatch() {
  state_->on_change = nullptr;
  state_->timer.cancel();
  boost::system::error_code ignored;
  state_->events.close(ignored);
}

void FactWatch::Start(std::function<void()> on_change) {
  state_->on_change = std::move(on_change);
  state_->polling = !state_->status.ok();
  state_->polling ? state_->AwaitTimer(kWatchPoll) : state_->AwaitEvent();
}

int FactWatch::descriptor() const {
  return state_->events.is_open() ? state_->events.native_handle() : -1;
}

void FactWatch::Keep(const std::set<int>& needed) {
  for (const int watch : state_->watches) {
    if (!needed.contains(watch) && state_->events.is_open()) {
      inotify_rm_watch(state_->events.native_handle(), watch);
    }
  }
  state_->watches = needed;
}

void FactWatch::SetPolling(bool polling) {
  polling = polling || !state_->status.ok();
  if (polling == state_->polling) return;
  state_->polling = polling;
  boost::system::error_code ignored;
  if (polling) {
    state_->events.cancel(ignored);
    state_->AwaitTimer(kWatchPoll);
  }  // else the timer's next end waits for events again
}

const absl::Status& FactWatch::status() const { return state_->status; }

}  // namespace orch::nodeagent
