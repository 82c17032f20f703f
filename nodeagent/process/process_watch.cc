// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/process/process_watch.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

namespace orch::nodeagent {
namespace {

constexpr absl::Duration kPollInterval = absl::Milliseconds(250);

}  // namespace

std::shared_ptr<ProcessWatch> ProcessWatch::Start(base::Strand strand, ProcessId process,
                                                  std::function<void()> ended) {
  std::shared_ptr<ProcessWatch> watch(
      new ProcessWatch(std::move(strand), std::move(process), std::move(ended)));
  watch->Begin();
  return watch;
}

ProcessWatch::ProcessWatch(base::Strand strand, ProcessId process, std::function<void()> ended)
    : strand_(strand),
      process_(std::move(process)),
      ended_(std::move(ended)),
      descriptor_(strand),
      timer_(strand) {}

void ProcessWatch::Begin() {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, process_.pid, 0));
  if (fd < 0) {
    base::asio::post(strand_, [self = shared_from_this()] { self->Poll(); });
    return;
  }
  boost::system::error_code error;
  descriptor_.assign(fd, error);
  if (error) close(fd);
  // Only now is the descriptor known to be of this very process.
  if (error || !IsAlive(process_)) {
    base::asio::post(strand_, [self = shared_from_this()] { self->Poll(); });
    return;
  }
  descriptor_.async_wait(base::asio::posix::descriptor_base::wait_read,
                         [self = shared_from_this()](boost::system::error_code) { self->End(); });
}

void ProcessWatch::Poll() {
  if (!IsAlive(process_)) return End();
  timer_.expires_after(absl::ToChronoNanoseconds(kPollInterval));
  timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
    if (!error) self->Poll();
  });
}

void ProcessWatch::End() {
  const std::function<void()> ended = std::exchange(ended_, nullptr);
  Stop();
  if (ended) ended();
}

void ProcessWatch::Stop() {
  ended_ = nullptr;
  timer_.cancel();
  boost::system::error_code ignored;
  descriptor_.close(ignored);
}

}  // namespace orch::nodeagent
