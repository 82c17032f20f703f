// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "bus/broker/broker_hub.h"
#include "bus/routing/broker_session.h"
#include "bus/stream/stream.h"

// Connections to the broker from within its own process, over memory.

namespace orch::bus {

// The broker's side of a Stream in memory. Its two coroutines keep it alive; they end when the
// stream does.
//
// Lives on: the broker's strand.
class StreamLink : public BrokerLink, public std::enable_shared_from_this<StreamLink> {
 public:
  static void Start(std::shared_ptr<BrokerHub> hub, std::unique_ptr<Stream> stream,
                    BrokerPeer peer);

  void OnReady() override;

 private:
  StreamLink(std::shared_ptr<BrokerHub> hub, std::unique_ptr<Stream> stream)
      : hub_(std::move(hub)), stream_(std::move(stream)), wake_(hub_->strand()) {}
  static base::Awaitable<void> Read(std::shared_ptr<StreamLink> self);
  static base::Awaitable<void> Write(std::shared_ptr<StreamLink> self);
  std::string TakeOutput();

  const std::shared_ptr<BrokerHub> hub_;
  const std::unique_ptr<Stream> stream_;
  BrokerSession* session_ = nullptr;  // null once the stream has ended
  base::asio::steady_timer wake_;     // cancelled when the writer has something to do
};

// Makes streams that end in `hub`, as `peer`.
std::shared_ptr<StreamFactory> NewBrokerStreams(std::weak_ptr<BrokerHub> hub, base::Strand strand,
                                                BrokerPeer peer);

}  // namespace orch::bus
