// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "bus/routing/broker_message.h"
#include "bus/routing/broker_rights.h"

// Limits what one node holds in queues, so that it can't take the room that others need. The limit
// is necessary because a node may send to the reply queue of any controller, also of one that does
// not exist. Pure.

namespace orch::bus {

// What one node holds in queues. It exists while that is anything at all.
struct NodeShare {
  std::string node;
  size_t queues = 0;  // queues that this node made and nobody has subscribed yet
  size_t bytes = 0;   // of its messages in all queues
};

class NodeShares {
 public:
  // Checks that `sender` may hold `bytes` more in queues, and, with `new_queue`, make one more
  // queue. ResourceExhausted names the limit. OK for every sender that is not a node.
  absl::Status Check(const BrokerPeer& sender, bool new_queue, size_t bytes) const;

  // Counts a message that goes into a queue. Returns the sender's share; null: the sender is not a
  // node.
  NodeShare* Add(const BrokerPeer& sender, Message* message);
  // Takes a message out of the count: it is in no queue any more.
  void Remove(const Message& message);

  // Counts a queue that the node made, until RemoveQueue: somebody subscribed it, or it is gone.
  void AddQueue(NodeShare* share);
  void RemoveQueue(NodeShare* share);

  // How many nodes hold anything in queues.
  size_t size() const { return shares_.size(); }

 private:
  void DropIfUnused(const NodeShare& share);

  std::map<std::string, NodeShare> shares_;  // by node
  size_t queues_ = 0;                        // over all of them
};

}  // namespace orch::bus
