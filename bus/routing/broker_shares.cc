// SPDX-License-Identifier: Apache-2.0
#include "bus/routing/broker_shares.h"

#include "absl/strings/str_cat.h"
#include "bus/routing/broker_limits.h"

namespace orch::bus {

absl::Status NodeShares::Check(const BrokerPeer& sender, bool new_queue, size_t bytes) const {
  if (sender.kind != BrokerPeer::Kind::kNode) return absl::OkStatus();
  const auto found = shares_.find(sender.name);
  const size_t queues = found == shares_.end() ? 0 : found->second.queues;
  const size_t held = found == shares_.end() ? 0 : found->second.bytes;
  if (new_queue && queues >= kQueuesOfNodeMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("this node has made ", queues, " queues that nobody reads; no more"));
  }
  if (new_queue && queues_ >= kQueuesOfNodesMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("nodes have made ", queues_, " queues that nobody reads; no more"));
  }
  if (held + bytes > kQueuedBytesOfNodeMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("over ", kQueuedBytesOfNodeMax, " bytes of this node wait in queues"));
  }
  return absl::OkStatus();
}

NodeShare* NodeShares::Add(const BrokerPeer& sender, Message* message) {
  if (sender.kind != BrokerPeer::Kind::kNode) return nullptr;
  NodeShare& share = shares_[sender.name];
  share.node = sender.name;
  share.bytes += message->bytes();
  message->set_share(&share);
  return &share;
}

void NodeShares::Remove(const Message& message) {
  NodeShare* const share = message.share();
  if (share == nullptr) return;
  share->bytes -= message.bytes();
  DropIfUnused(*share);
}

void NodeShares::AddQueue(NodeShare* share) {
  ++share->queues;
  ++queues_;
}

void NodeShares::RemoveQueue(NodeShare* share) {
  --share->queues;
  --queues_;
  DropIfUnused(*share);
}

void NodeShares::DropIfUnused(const NodeShare& share) {
  if (share.queues == 0 && share.bytes == 0) shares_.erase(shares_.find(share.node));
}

}  // namespace orch::bus
