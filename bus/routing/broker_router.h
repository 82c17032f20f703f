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

// The broker's topics and queues, and a message's way from SEND to the outboxes of its receivers.
// Pure.

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

  // The rest is for queues alone.
  std::deque<Waiting> waiting;
  size_t bytes = 0;   // of waiting and unacknowledged messages
  size_t next = 0;    // index in `subscriptions` of the consumer whose turn it is
  bool full = false;  // no consumer has credit; cleared when one may have some again
  absl::Time first_expiry = absl::InfiniteFuture();  // nothing in `waiting` expires before this
  NodeShare* maker =
      nullptr;  // the node that made this queue; null once somebody has subscribed it
};

// The sessions that have something to write, each once, in the order in which they got it.
class ReadyList {
 public:
  void Add(BrokerSession* session);
  void Remove(BrokerSession* session);
  std::vector<BrokerSession*> Take();

 private:
  std::vector<BrokerSession*> sessions_;
};

// Figures of now for one kind of destination.
struct DestinationCensus {
  uint64_t destinations = 0, subscriptions = 0;
  uint64_t messages = 0, bytes = 0;  // waiting; unacknowledged ones count in bytes alone
};

class Router {
 public:
  Router(const BrokerBounds& bounds, Meter* meter, ReadyList* ready)
      : bounds_(bounds), meter_(meter), ready_(ready) {}

  // Checks that `bytes` more from `sender` fit into the queue of that name, into all queues
  // together and into the sender's share. ResourceExhausted names the limit. OK for topics.
  absl::Status CheckRoom(const BrokerPeer& sender, absl::string_view destination,
                         size_t bytes) const;
  // Delivers or queues a message. `send` has a destination that CheckDestination accepts.
  // ResourceExhausted: the queue has no room, and no consumer can take the message at once.
  absl::Status Publish(const BrokerPeer& sender, Frame send, base::Now now);
  // Adds a subscription to `session` and begins to deliver. ResourceExhausted: too many
  // destinations.
  absl::Status Subscribe(BrokerSession* session, std::string id, absl::string_view destination,
                         AckMode ack, base::Now now);
  // Removes a subscription from its session. Messages that it did not acknowledge go back to the
  // front of their queue, for others.
  void Unsubscribe(Subscription* subscription, base::Now now);
  void UnsubscribeAll(BrokerSession* session, base::Now now);

  // Takes an ACK (`positive`) or NACK of a message; with ack mode client it is about all messages
  // up to that one. NotFound: no such message waits for an acknowledgement of this session.
  absl::Status Acknowledge(BrokerSession* session, absl::string_view message_id, bool positive,
                           base::Now now);
  // To be called when some of the session's outbox was written: it may have credit again.
  void OnRoom(BrokerSession* session, base::Now now);
  // Drops queued messages that have expired.
  void Expire(base::Now now);
  // Notes `session` for TakeSlow if more than consumer_bytes wait for it.
  void CheckSlow(BrokerSession* session);
  // Sessions that were found to be over consumer_bytes since the last call.
  std::vector<BrokerSession*> TakeSlow();

  // Counts all destinations by what the bus uses them for. Walks over all of them, so it is for
  // metrics only.
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
  // The consumer that could take a message now without leaving it in the queue, because it
  // acknowledges automatically; null: there is none.
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
