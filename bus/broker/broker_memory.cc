// SPDX-License-Identifier: Apache-2.0
#include "bus/broker/broker_memory.h"

#include <algorithm>
#include <vector>

#include "base/asio.h"

namespace orch::bus {
namespace {

constexpr size_t kReadBytes = 16 << 10;
// Written at once.
constexpr size_t kWriteBytes = 64 << 10;
constexpr size_t kMemoryGatherMax = 256;

class BrokerStreams : public StreamFactory {
 public:
  BrokerStreams(std::weak_ptr<BrokerHub> hub, base::Strand strand, BrokerPeer peer)
      : hub_(std::move(hub)), broker_strand_(strand), peer_(std::move(peer)) {}

  base::Awaitable<absl::StatusOr<std::unique_ptr<Stream>>> Connect(base::Strand strand,
                                                                   std::string) override {
    auto ends = NewMemoryStreams(broker_strand_, strand);
    base::asio::post(broker_strand_,
                     [hub = hub_, stream = std::move(ends.first), peer = peer_]() mutable {
                       const std::shared_ptr<BrokerHub> self = hub.lock();
                       if (self == nullptr || self->stopping()) {
                         stream->Close();
                         return;
                       }
                       StreamLink::Start(self, std::move(stream), std::move(peer));
                     });
    co_return std::move(ends.second);
  }

 private:
  const std::weak_ptr<BrokerHub> hub_;
  const base::Strand broker_strand_;
  const BrokerPeer peer_;
};

}  // namespace

std::shared_ptr<StreamFactory> NewBrokerStreams(std::weak_ptr<BrokerHub> hub, base::Strand strand,
                                                BrokerPeer peer) {
  return std::make_shared<BrokerStreams>(std::move(hub), strand, std::move(peer));
}

void StreamLink::Start(std::shared_ptr<BrokerHub> hub, std::unique_ptr<Stream> stream,
                       BrokerPeer peer) {
  const std::shared_ptr<StreamLink> link(new StreamLink(hub, std::move(stream)));
  link->session_ = hub->core().Open(std::move(peer), link->stream_->peer(), link.get(), hub->Now());
  if (link->session_ == nullptr) {
    hub->LogRefusal(link->stream_->peer(), "over the limit of connections (connections)");
    link->stream_->Close();
    return;
  }
  base::asio::co_spawn(hub->strand(), Read(link), base::asio::detached);
  base::asio::co_spawn(hub->strand(), Write(link), base::asio::detached);
  hub->Settle();
}

void StreamLink::OnReady() {
  if (session_ != nullptr && session_->overdue) stream_->Close();
  wake_.cancel();
}

std::string StreamLink::TakeOutput() {
  absl::string_view parts[kMemoryGatherMax];
  const size_t count = session_->outbox.Gather(parts, kMemoryGatherMax);
  std::string out;
  for (size_t i = 0; i < count && out.size() < kWriteBytes; ++i) {
    out.append(parts[i].data(), std::min(parts[i].size(), kWriteBytes - out.size()));
  }
  hub_->core().OnWritten(session_, out.size(), hub_->Now());
  return out;
}

base::Awaitable<void> StreamLink::Read(std::shared_ptr<StreamLink> self) {
  std::vector<char> buffer(kReadBytes);
  for (;;) {
    const absl::StatusOr<size_t> size = co_await self->stream_->Read(buffer.data(), buffer.size());
    if (!size.ok()) break;
    self->hub_->core().OnBytes(self->session_, absl::string_view(buffer.data(), *size),
                               self->hub_->Now());
    self->hub_->Settle();
  }
  self->stream_->Close();
  self->hub_->core().Close(std::exchange(self->session_, nullptr), self->hub_->Now());
  self->wake_.cancel();
  self->hub_->Settle();
}

base::Awaitable<void> StreamLink::Write(std::shared_ptr<StreamLink> self) {
  while (self->session_ != nullptr) {
    if (self->session_->outbox.empty()) {
      if (self->session_->state == BrokerSession::State::kEnded) break;
      self->wake_.expires_at(base::asio::steady_timer::time_point::max());
      co_await self->wake_.async_wait(base::kTuple);
      continue;
    }
    // A copy, because the outbox may change while it is on its way.
    const std::string bytes = self->TakeOutput();
    const std::vector<boost::asio::const_buffer> buffers = {boost::asio::buffer(bytes)};
    const absl::Status status = co_await self->stream_->Write(buffers);
    if (!status.ok()) break;
  }
  self->stream_->Close();
}

}  // namespace orch::bus
