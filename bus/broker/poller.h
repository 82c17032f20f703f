// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/epoll.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "base/asio.h"

// Readiness of very many sockets at a small price. Asio keeps about a kilobyte and, with a read
// under way, a buffer for each socket; a broker with 10,000 idle connections wants neither. So its
// sockets stand in an epoll set of their own, which Asio sees as one descriptor, and are read into
// one shared buffer when there is something to read.

namespace orch::bus {

class Pollable {
 public:
  virtual ~Pollable() = default;
  // EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP as epoll_ctl(2) has them, level-triggered.
  virtual void OnEvents(uint32_t events) = 0;
  // The credentials have changed: ends the connection if its peer would not be let in any more.
  virtual void JudgeAgain() {}
};

// Lives on: the strand it is given.
class Poller : public std::enable_shared_from_this<Poller> {
 public:
  // `on_round` is called after each batch of events. Unavailable: no epoll descriptor to be had.
  static absl::StatusOr<std::shared_ptr<Poller>> Make(base::Strand strand,
                                                      std::function<void()> on_round);

  // Calls `target` with the `events` of `fd` until Remove. A target may remove itself and others
  // while it is called. False: the kernel refused; errno says why.
  bool Add(int fd, uint32_t events, Pollable* target);
  void Change(int fd, uint32_t events, Pollable* target);
  // To be called before the descriptor is closed. `target` is not called again.
  void Remove(int fd, Pollable* target);

  void Start();
  // Nothing is called afterwards.
  void Stop();

 private:
  static constexpr int kBatchMax = 256;

  Poller(base::Strand strand, int epoll_fd, std::function<void()> on_round);
  static base::Awaitable<void> Run(std::shared_ptr<Poller> self);
  void RunRound();

  base::Strand strand_;
  base::asio::posix::basic_stream_descriptor<base::Strand> epoll_;
  std::function<void()> on_round_;
  std::array<epoll_event, kBatchMax> batch_;
  int batch_size_ = 0;
  int batch_at_ = 0;
  bool stopped_ = false;
};

}  // namespace orch::bus
