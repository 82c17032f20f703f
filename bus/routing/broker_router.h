// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "base/clock.h"
#include "bus/routing/broker_limits.h"
#include "bus/routing/broker_message.h"
#include "bus/routing/broker_session.h"
#include "bus/routing/broker_shares.h"

// Topics, queues and the way of a message from SEND to outboxes. Pure.

namespace orch::bus {

// A destination that has subscribers, or is a queue that has messages. A topic hands a message to
// all who listen now; a queue keeps it until one consumer has taken it.
struct Destination {
  struct Waiting {
    MessagePtr message;
    int nacks = 0;
    bool redelivered = false;
  };

  std::string name;
  DestinationKind kind = DestinationKind::kTopic;
  std::vector<Subscription*> subscriptions;

  // Of queues alone.
  std::deque<Waiting> waiting;
  size_t bytes = 0;   // of waiting and unacknowledged messages
  size_t next = 0;    // whose turn it is, in subscriptions
  bool full = false;  // all consumers were found without credit; until one has some again
  absl::Time first_expiry = absl::InfiniteFuture();  // nothing in `waiting` expires before
  NodeShare* maker = nullptr;  // the node that made it, until somebody reads it
};

// Sessions that have something to write, each once.
class ReadyList {
 public:
  void Add(BrokerSession* session);
  void Remove(BrokerSession* session);
  std::vector<BrokerSession*> Take();

 private:
  std::vector<BrokerSession*> sessions_;
};

// What there is of one kind of destination, now.
struct DestinationCensus {
  uint64_t destinations = 0, subscriptions = 0;
  uint64_t messages = 0, bytes = 0;  // waiting; unacknowledged ones count in bytes alone
};

class Router {
 public:
  Router(const BrokerBounds& bounds, Meter* meter, ReadyList* ready)
      : bounds_(bounds), meter_(meter), ready_(ready) {}

  // Whether `bytes` more of `sender` fit into the queue of that name, and into all queues.
  // ResourceExhausted names the limit. OK for topics.
  absl::Status CheckRoom(const BrokerPeer& sender, absl::string_view destination,
                         size_t bytes) const;
  // `send` has a destination that CheckDestination accepts. ResourceExhausted: no room, and nobody
  // to take it at once.
  absl::Status Publish(const BrokerPeer& sender, Frame send, base::Now now);
  // ResourceExhausted: too many destinations.
  absl::Status Subscribe(BrokerSession* session, std::string id, absl::string_view destination,
                         AckMode ack, base::Now now);
  // Removes it from its session; what was not acknowledged goes back to the queue's front.
  void Unsubscribe(Subscription* subscription, base::Now now);
  void UnsubscribeAll(BrokerSession* session, base::Now now);

  // One message, or with ack mode client all up to it. NotFound: not outstanding here.
  absl::Status Acknowledge(BrokerSession* session, absl::string_view message_id, bool positive,
                           base::Now now);
  // Its outbox has room again.
  void OnRoom(BrokerSession* session, base::Now now);
  // Drops what has expired in queues.
  void Expire(base::Now now);
  // Remembers `session` if more than consumer_bytes wait for it.
  void CheckSlow(BrokerSession* session);
  // Sessions that were found to be over consumer_bytes since the last call.
  std::vector<BrokerSession*> TakeSlow();

  // Walks all destinations: for metrics, not for each message.
  std::array<DestinationCensus, kBusKinds> Census(absl::string_view prefix) const;
  bool HoldsMessages() const { return queued_bytes_ > 0; }
  uint64_t expired() const { return expired_; }
  uint64_t discarded() const { return discarded_; }

 private:
  Destination* FindOrAdd(absl::string_view name);
  void DropIfUnused(Destination* destination);
  void Deliver(Subscription* subscription, const MessagePtr& message, int nacks, bool redelivered);
  bool HasCredit(const Subscription& subscription) const;
  Subscription* NextConsumer(Destination* queue);
  // Who takes a message that is gone for the queue then: its acknowledgement is automatic.
  Subscription* TakerAtOnce(Destination* queue);
  void Pump(Destination* queue, base::Now now);
  void Forget(Destination* queue, const Message& message);
  void Return(Subscription* subscription, std::vector<Destination::Waiting> messages,
              base::Now now);

  const BrokerBounds& bounds_;
  Meter* const meter_;
  ReadyList* const ready_;
  absl::flat_hash_map<std::string, std::unique_ptr<Destination>> destinations_;
  std::vector<BrokerSession*> slow_;
  size_t queued_bytes_ = 0;  // over all queues
  NodeShares shares_;
  uint64_t serial_ = 0;
  uint64_t expired_ = 0;
  uint64_t discarded_ = 0;
};

}  // namespace orch::bus
