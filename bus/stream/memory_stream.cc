// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "base/asio.h"
#include "bus/stream/stream.h"

namespace orch::bus {
namespace {

// One end. What it writes is posted to the other end's strand; what it reads is posted back as
// credit, so that no more than the capacity waits and no lock is needed.
//
// Lives on: its strand; PostX from the other end's.
class End : public std::enable_shared_from_this<End> {
 public:
  End(base::Strand strand, size_t capacity)
      : strand_(strand), credit_(capacity), readable_(strand), writable_(strand) {
    readable_.expires_at(std::chrono::steady_clock::time_point::max());
    writable_.expires_at(std::chrono::steady_clock::time_point::max());
  }

  void Join(const std::shared_ptr<End>& other) { other_ = other; }

  static base::Awaitable<absl::StatusOr<size_t>> Read(std::shared_ptr<End> self, char* data,
                                                      size_t size) {
    while (!self->closed_ && self->begin_ == self->inbox_.size() && !self->other_closed_) {
      co_await self->readable_.async_wait(base::kTuple);
    }
    if (self->closed_) co_return absl::UnavailableError("read: closed");
    const size_t n = std::min(size, self->inbox_.size() - self->begin_);
    if (n == 0) co_return absl::OutOfRangeError("closed by the peer");
    self->inbox_.copy(data, n, self->begin_);
    self->begin_ += n;
    if (self->begin_ == self->inbox_.size()) {
      self->inbox_ = std::string();
      self->begin_ = 0;
    }
    if (std::shared_ptr<End> other = self->other_.lock()) other->PostCredit(n);
    co_return n;
  }

  static base::Awaitable<absl::Status> Write(std::shared_ptr<End> self,
                                             std::vector<boost::asio::const_buffer> buffers) {
    for (boost::asio::const_buffer buffer : buffers) {
      while (buffer.size() > 0) {
        while (!self->closed_ && !self->other_closed_ && self->credit_ == 0) {
          co_await self->writable_.async_wait(base::kTuple);
        }
        std::shared_ptr<End> other = self->other_.lock();
        if (self->closed_) co_return absl::UnavailableError("write: closed");
        if (self->other_closed_ || other == nullptr) {
          co_return absl::UnavailableError("write: closed by the peer");
        }
        const size_t n = std::min(self->credit_, buffer.size());
        self->credit_ -= n;
        other->PostBytes(std::string(static_cast<const char*>(buffer.data()), n));
        buffer += n;
      }
    }
    co_return absl::OkStatus();
  }

  void Close() {
    if (closed_) return;
    closed_ = true;
    readable_.cancel();
    writable_.cancel();
    if (std::shared_ptr<End> other = other_.lock()) other->PostClosed();
  }

 private:
  void PostBytes(std::string bytes) {
    base::asio::post(strand_, [self = shared_from_this(), bytes = std::move(bytes)] {
      self->inbox_.append(bytes);
      self->readable_.cancel();
    });
  }
  void PostCredit(size_t bytes) {
    base::asio::post(strand_, [self = shared_from_this(), bytes] {
      self->credit_ += bytes;
      self->writable_.cancel();
    });
  }
  void PostClosed() {
    base::asio::post(strand_, [self = shared_from_this()] {
      self->other_closed_ = true;
      self->readable_.cancel();
      self->writable_.cancel();
    });
  }

  const base::Strand strand_;
  std::weak_ptr<End> other_;  // constant after Join
  size_t credit_;             // bytes that I may still send
  std::string inbox_;
  size_t begin_ = 0;  // of inbox_; what is before has been read
  bool closed_ = false;
  bool other_closed_ = false;
  // Never expire; cancelling them wakes who waits.
  base::asio::steady_timer readable_;
  base::asio::steady_timer writable_;
};

class MemoryStream : public Stream {
 public:
  explicit MemoryStream(std::shared_ptr<End> end) : end_(std::move(end)) {}
  ~MemoryStream() override { end_->Close(); }

  base::Awaitable<absl::StatusOr<size_t>> Read(char* data, size_t size) override {
    return End::Read(end_, data, size);
  }
  base::Awaitable<absl::Status> Write(
      const std::vector<boost::asio::const_buffer>& buffers) override {
    return End::Write(end_, buffers);
  }
  void Close() override { end_->Close(); }
  std::string peer() const override { return "memory"; }
  std::optional<trust::Peer> certificate() const override { return std::nullopt; }

 private:
  const std::shared_ptr<End> end_;
};

}  // namespace

std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> NewMemoryStreams(base::Strand first,
                                                                             base::Strand second,
                                                                             size_t capacity) {
  auto one = std::make_shared<End>(first, capacity);
  auto two = std::make_shared<End>(second, capacity);
  one->Join(two);
  two->Join(one);
  return {std::make_unique<MemoryStream>(one), std::make_unique<MemoryStream>(two)};
}

}  // namespace orch::bus
