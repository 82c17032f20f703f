// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "bus/routing/broker_message.h"
#include "bus/routing/broker_rights.h"

// What nodes have in queues, so that one of them can't take what the others need: a node may send
// to the reply queue of any controller, also of one that does not exist. Pure.

namespace orch::bus {

// What one node has in queues. It lives while that is anything.
struct NodeShare {
  std::string node;
  size_t queues = 0;  // that it made and nobody read yet
  size_t bytes = 0;   // of its messages
};

class NodeShares {
 public:
  // Whether `sender` may have `bytes` more in queues, and one more queue if it would be a new one.
  // ResourceExhausted names the limit. OK for all who are no nodes.
  absl::Status Check(const BrokerPeer& sender, bool new_queue, size_t bytes) const;

  // `message` of `sender` goes into a queue; the share, or null if the sender is no node.
  NodeShare* Add(const BrokerPeer& sender, Message* message);
  // It is in no queue any more.
  void Remove(const Message& message);

  // A queue is that node's making; until it is read, or gone.
  void AddQueue(NodeShare* share);
  void RemoveQueue(NodeShare* share);

  // Nodes that have anything in queues.
  size_t size() const { return shares_.size(); }

 private:
  void DropIfUnused(const NodeShare& share);

  std::map<std::string, NodeShare> shares_;  // by node
  size_t queues_ = 0;                        // over all of them
};

}  // namespace orch::bus
