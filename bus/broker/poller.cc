// SPDX-License-Identifier: Apache-2.0
#include "bus/broker/poller.h"

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/asio.h"

namespace orch::bus {

absl::StatusOr<std::shared_ptr<Poller>> Poller::Make(base::Strand strand,
                                                     std::function<void()> on_round) {
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) {
    return absl::UnavailableError(absl::StrCat("make an epoll set: ", std::strerror(errno)));
  }
  return std::shared_ptr<Poller>(new Poller(std::move(strand), fd, std::move(on_round)));
}

Poller::Poller(base::Strand strand, int epoll_fd, std::function<void()> on_round)
    : strand_(strand), epoll_(strand, epoll_fd), on_round_(std::move(on_round)) {}

bool Poller::Add(int fd, uint32_t events, Pollable* target) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = target;
  return epoll_ctl(epoll_.native_handle(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void Poller::Change(int fd, uint32_t events, Pollable* target) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = target;
  ORCH_CHECK(epoll_ctl(epoll_.native_handle(), EPOLL_CTL_MOD, fd, &event) == 0);
}

void Poller::Remove(int fd, Pollable* target) {
  epoll_ctl(epoll_.native_handle(), EPOLL_CTL_DEL, fd, nullptr);
  for (int i = batch_at_; i < batch_size_; ++i) {
    if (batch_[i].data.ptr == target) batch_[i].data.ptr = nullptr;
  }
}

void Poller::Start() {
  base::asio::co_spawn(strand_, Run(shared_from_this()), base::asio::detached);
}

void Poller::Stop() {
  stopped_ = true;
  boost::system::error_code ignored;
  epoll_.cancel(ignored);
}

void Poller::RunRound() {
  batch_size_ = epoll_wait(epoll_.native_handle(), batch_.data(), kBatchMax, 0);
  for (batch_at_ = 0; batch_at_ < batch_size_; ++batch_at_) {
    const epoll_event& event = batch_[batch_at_];
    auto* target = static_cast<Pollable*>(event.data.ptr);
    if (target != nullptr) target->OnEvents(event.events);
  }
  batch_size_ = 0;
  batch_at_ = 0;
}

base::Awaitable<void> Poller::Run(std::shared_ptr<Poller> self) {
  while (!self->stopped_) {
    const auto [error] = co_await self->epoll_.async_wait(
        base::asio::posix::descriptor_base::wait_read, base::kTuple);
    if (error || self->stopped_) break;
    self->RunRound();
    if (!self->stopped_) self->on_round_();
  }
}

}  // namespace orch::bus
