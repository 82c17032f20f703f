// SPDX-License-Identifier: Apache-2.0
#include "test/testing/faulty_stream.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/asio.h"

namespace orch::testing {
namespace {

class FaultyStream : public bus::Stream {
 public:
  FaultyStream(std::unique_ptr<bus::Stream> inner, Faults faults)
      : inner_(std::move(inner)), faults_(faults) {}

  base::Awaitable<absl::StatusOr<size_t>> Read(char* data, size_t size) override {
    if (faults_.cut_after_read == 0) {
      inner_->Close();
      co_return absl::UnavailableError("read: cut");
    }
    base::Awaitable<absl::StatusOr<size_t>> reading =
        inner_->Read(data, std::min({size, faults_.read_max, faults_.cut_after_read}));
    absl::StatusOr<size_t> read = co_await std::move(reading);
    if (read.ok() && faults_.cut_after_read != Faults::kNever) faults_.cut_after_read -= *read;
    co_return read;
  }

  base::Awaitable<absl::Status> Write(
      const std::vector<boost::asio::const_buffer>& buffers) override {
    std::vector<boost::asio::const_buffer> allowed;
    bool cut = false;
    for (const boost::asio::const_buffer& buffer : buffers) {
      const size_t part = std::min(buffer.size(), faults_.cut_after_wrote);
      cut = part < buffer.size();
      if (faults_.cut_after_wrote != Faults::kNever) faults_.cut_after_wrote -= part;
      allowed.push_back(boost::asio::buffer(buffer, part));
      if (cut) break;
    }
    base::Awaitable<absl::Status> writing = inner_->Write(allowed);
    absl::Status written = co_await std::move(writing);
    if (!cut) co_return written;
    inner_->Close();
    co_return absl::UnavailableError("write: cut");
  }

  void Close() override { inner_->Close(); }
  std::string peer() const override { return inner_->peer(); }
  std::optional<trust::Peer> certificate() const override { return inner_->certificate(); }

 private:
  const std::unique_ptr<bus::Stream> inner_;
  Faults faults_;  // what is left of them
};

class FaultyStreams : public bus::StreamFactory {
 public:
  FaultyStreams(std::shared_ptr<bus::StreamFactory> inner, Faults faults)
      : inner_(std::move(inner)), faults_(faults) {}

  base::Awaitable<absl::StatusOr<std::unique_ptr<bus::Stream>>> Connect(
      base::Strand strand, std::string address) override {
    base::Awaitable<absl::StatusOr<std::unique_ptr<bus::Stream>>> connecting =
        inner_->Connect(strand, std::move(address));
    absl::StatusOr<std::unique_ptr<bus::Stream>> stream = co_await std::move(connecting);
    if (!stream.ok()) co_return stream;
    co_return NewFaultyStream(*std::move(stream), faults_);
  }

 private:
  const std::shared_ptr<bus::StreamFactory> inner_;
  const Faults faults_;
};

}  // namespace

std::unique_ptr<bus::Stream> NewFaultyStream(std::unique_ptr<bus::Stream> inner, Faults faults) {
  return std::make_unique<FaultyStream>(std::move(inner), faults);
}

std::shared_ptr<bus::StreamFactory> NewFaultyStreams(std::shared_ptr<bus::StreamFactory> inner,
                                                     Faults faults) {
  return std::make_shared<FaultyStreams>(std::move(inner), faults);
}

}  // namespace orch::testing
