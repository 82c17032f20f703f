// SPDX-License-Identifier: Apache-2.0

// A message is encoded once and shared by all who receive it, because a broadcast to ten thousand
// nodes must not cost ten thousand copies. A queue keeps three figures in step: its own bytes, the
// bytes of all queues, and the share of the node that sent; they change together, in Publish and
// Forget, and nowhere else. What is delivered but not acknowledged still counts. A queue gives a
// consumer only as much as its credit allows and is `full` when nobody has credit, so that Pump
// does not ask every consumer again for each message; whatever may give credit back (an
// acknowledgement, a new subscription, a written outbox) clears `full` and pumps.

#include "bus/routing/broker_router.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/text.h"

namespace orch::bus {
namespace {

bool IsQueue(absl::string_view destination) { return absl::StartsWith(destination, "/queue/"); }

// The `expiration` header (milliseconds from now, as RabbitMQ has it), which needs no clock of the
// sender's; else `expires` (milliseconds since 1970, as ActiveMQ has it). 0 and nonsense: never.
absl::Time ExpiryOf(const Frame& send, base::Now now) {
  const absl::Time latest = now.wall + kMessageAgeMax;
  int64_t ms = 0;
  const std::string* header = send.Find("expiration");
  if (header != nullptr && absl::SimpleAtoi(*header, &ms) && ms > 0) {
    return now.wall + std::min(absl::Milliseconds(ms), kMessageAgeMax);
  }
  header = send.Find("expires");
  if (header == nullptr || !absl::SimpleAtoi(*header, &ms) || ms <= 0) return latest;
  return std::min(latest, absl::FromUnixMillis(ms));
}

absl::Status TooManyDestinations() {
  return absl::ResourceExhaustedError(
      absl::StrCat("more than ", kDestinationsMax, " destinations"));
}

}  // namespace

void ReadyList::Add(BrokerSession* session) {
  if (session->ready) return;
  session->ready = true;
  sessions_.push_back(session);
}

void ReadyList::Remove(BrokerSession* session) {
  if (!session->ready) return;
  session->ready = false;
  sessions_.erase(std::find(sessions_.begin(), sessions_.end(), session));
}

std::vector<BrokerSession*> ReadyList::Take() {
  for (BrokerSession* session : sessions_) session->ready = false;
  return std::exchange(sessions_, {});
}

absl::Status Router::CheckRoom(const BrokerPeer& sender, absl::string_view destination,
                               size_t bytes) const {
  if (!IsQueue(destination)) return absl::OkStatus();
  if (queued_bytes_ + bytes > bounds_.total_bytes / 2) {
    return absl::ResourceExhaustedError(absl::StrCat("all queues together are full: over half of ",
                                                     bounds_.total_bytes, " bytes (total_bytes)"));
  }
  const auto found = destinations_.find(destination);
  const size_t held = found == destinations_.end() ? 0 : found->second->bytes;
  if (held + bytes > bounds_.queue_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the queue is full: over ", bounds_.queue_bytes, " bytes (queue_bytes)"));
  }
  return shares_.Check(sender, found == destinations_.end(), bytes);
}

absl::Status Router::Publish(const BrokerPeer& sender, Frame send, base::Now now) {
  const std::string& name = *send.Find("destination");
  const absl::Time expires = ExpiryOf(send, now);
  if (expires <= now.wall) {
    ++expired_;
    return absl::OkStatus();
  }
  const auto found = destinations_.find(name);
  Destination* destination = found == destinations_.end() ? nullptr : found->second.get();
  if (!IsQueue(name)) {
    // A topic that nobody listens to.
    if (destination == nullptr) return absl::OkStatus();
    const auto message = std::make_shared<Message>(std::move(send), expires, meter_);
    for (Subscription* subscription : destination->subscriptions) {
      Deliver(subscription, message, 0, false);
    }
    return absl::OkStatus();
  }
  // What passes straight through needs no room, however full the queues of others are.
  if (Subscription* taker = destination == nullptr ? nullptr : TakerAtOnce(destination)) {
    Deliver(taker, std::make_shared<Message>(std::move(send), expires, meter_), 0, false);
    return absl::OkStatus();
  }
  ORCH_RETURN_IF_ERROR(CheckRoom(sender, name, send.body.size()));
  const bool made = destination == nullptr;
  if (made) destination = FindOrAdd(name);
  if (destination == nullptr) return TooManyDestinations();
  const auto message = std::make_shared<Message>(std::move(send), expires, meter_);
  NodeShare* const share = shares_.Add(sender, message.get());
  if (made && share != nullptr) {
    destination->maker = share;
    shares_.AddQueue(share);
  }
  destination->bytes += message->bytes();
  queued_bytes_ += message->bytes();
  destination->waiting.push_back({message, 0, false});
  destination->first_expiry = std::min(destination->first_expiry, expires);
  Pump(destination, now);
  return absl::OkStatus();
}

absl::Status Router::Subscribe(BrokerSession* session, std::string id,
                               absl::string_view destination, AckMode ack, base::Now now) {
  Destination* to = FindOrAdd(destination);
  if (to == nullptr) return TooManyDestinations();
  if (to->maker != nullptr) shares_.RemoveQueue(std::exchange(to->maker, nullptr));
  auto subscription = std::make_unique<Subscription>();
  subscription->session = session;
  subscription->destination = to;
  subscription->ack = ack;
  subscription->serial = ++serial_;
  subscription->index = to->subscriptions.size();
  subscription->head = "MESSAGE\n";
  if (!id.empty()) AppendHeader("subscription", id, session->version, &subscription->head);
  absl::StrAppend(&subscription->head, "message-id:", subscription->serial, "-");
  subscription->head.shrink_to_fit();
  subscription->id = std::move(id);
  to->subscriptions.push_back(subscription.get());
  to->full = false;
  session->subscriptions.push_back(std::move(subscription));
  if (to->kind == DestinationKind::kQueue) Pump(to, now);
  return absl::OkStatus();
}

void Router::Unsubscribe(Subscription* subscription, base::Now now) {
  Destination* from = subscription->destination;
  from->subscriptions[subscription->index] = from->subscriptions.back();
  from->subscriptions[subscription->index]->index = subscription->index;
  from->subscriptions.pop_back();
  std::vector<Destination::Waiting> back;
  back.reserve(subscription->unacked.size());
  for (auto& [number, unacked] : subscription->unacked) {
    back.push_back({std::move(unacked.message), unacked.nacks, true});
  }
  auto& owned = subscription->session->subscriptions;
  const auto owner = std::find_if(owned.begin(), owned.end(), [subscription](const auto& other) {
    return other.get() == subscription;
  });
  const std::unique_ptr<Subscription> keep = std::move(*owner);
  owned.erase(owner);
  Return(keep.get(), std::move(back), now);
  DropIfUnused(from);
}

void Router::UnsubscribeAll(BrokerSession* session, base::Now now) {
  while (!session->subscriptions.empty()) Unsubscribe(session->subscriptions.back().get(), now);
}

absl::Status Router::Acknowledge(BrokerSession* session, absl::string_view message_id,
                                 bool positive, base::Now now) {
  const absl::Status unknown = absl::NotFoundError(
      absl::StrCat("`", base::CutUtf8(message_id, kSubscriptionIdBytesMax),
                   "` is no message that waits for an acknowledgement on this connection"));
  const size_t dash = message_id.find('-');
  uint64_t serial = 0;
  uint64_t number = 0;
  if (dash == absl::string_view::npos || !absl::SimpleAtoi(message_id.substr(0, dash), &serial) ||
      !absl::SimpleAtoi(message_id.substr(dash + 1), &number)) {
    return unknown;
  }
  const auto& all = session->subscriptions;
  const auto found = std::find_if(all.begin(), all.end(), [serial](const auto& subscription) {
    return subscription->serial == serial;
  });
  if (found == all.end() || number == 0 || number > (*found)->delivered) return unknown;
  Subscription* subscription = found->get();
  Destination* queue = subscription->destination;
  // A topic keeps nothing, so there is nothing to be acknowledged or given back.
  if (queue->kind == DestinationKind::kTopic) return absl::OkStatus();
  const auto last = subscription->unacked.find(number);
  if (last == subscription->unacked.end()) return unknown;
  const bool cumulative = subscription->ack == AckMode::kClient;
  const auto first = cumulative ? subscription->unacked.begin() : last;
  std::vector<Destination::Waiting> back;
  for (auto it = first; it != std::next(last); ++it) {
    Unacked& unacked = it->second;
    if (positive) {
      Forget(queue, *unacked.message);
    } else if (unacked.nacks + 1 >= kNacksMax) {
      ++discarded_;
      Forget(queue, *unacked.message);
    } else {
      back.push_back({std::move(unacked.message), unacked.nacks + 1, true});
    }
  }
  subscription->unacked.erase(first, std::next(last));
  queue->full = false;
  Return(subscription, std::move(back), now);
  return absl::OkStatus();
}

void Router::Return(Subscription* subscription, std::vector<Destination::Waiting> messages,
                    base::Now now) {
  Destination* queue = subscription->destination;
  for (auto it = messages.rbegin(); it != messages.rend(); ++it) {
    queue->first_expiry = std::min(queue->first_expiry, it->message->expires());
    queue->waiting.push_front(std::move(*it));
  }
  if (queue->kind == DestinationKind::kQueue) Pump(queue, now);
}

void Router::OnRoom(BrokerSession* session, base::Now now) {
  if (!session->starved || session->outbox.bytes() > kCreditBytes / 2) return;
  session->starved = false;
  for (const auto& subscription : session->subscriptions) {
    Destination* queue = subscription->destination;
    if (queue->kind != DestinationKind::kQueue) continue;
    queue->full = false;
    Pump(queue, now);
  }
}

void Router::Expire(base::Now now) {
  std::vector<Destination*> emptied;
  for (auto& [name, destination] : destinations_) {
    Destination* queue = destination.get();
    if (queue->first_expiry > now.wall) continue;
    queue->first_expiry = absl::InfiniteFuture();
    std::deque<Destination::Waiting> kept;
    for (Destination::Waiting& waiting : queue->waiting) {
      if (waiting.message->expires() <= now.wall) {
        ++expired_;
        Forget(queue, *waiting.message);
        continue;
      }
      queue->first_expiry = std::min(queue->first_expiry, waiting.message->expires());
      kept.push_back(std::move(waiting));
    }
    queue->waiting = std::move(kept);
    emptied.push_back(queue);
  }
  for (Destination* queue : emptied) DropIfUnused(queue);
}

std::array<DestinationCensus, kBusKinds> Router::Census(absl::string_view prefix) const {
  std::array<DestinationCensus, kBusKinds> out;
  for (const auto& [name, destination] : destinations_) {
    DestinationCensus& of = out[static_cast<size_t>(BusKindOf(prefix, name))];
    ++of.destinations;
    of.subscriptions += destination->subscriptions.size();
    of.messages += destination->waiting.size();
    of.bytes += destination->bytes;
  }
  return out;
}

std::vector<BrokerSession*> Router::TakeSlow() { return std::exchange(slow_, {}); }

Destination* Router::FindOrAdd(absl::string_view name) {
  const auto found = destinations_.find(name);
  if (found != destinations_.end()) return found->second.get();
  if (destinations_.size() >= kDestinationsMax) return nullptr;
  auto destination = std::make_unique<Destination>();
  destination->name = std::string(name);
  destination->kind = IsQueue(name) ? DestinationKind::kQueue : DestinationKind::kTopic;
  Destination* out = destination.get();
  destinations_.emplace(out->name, std::move(destination));
  return out;
}

void Router::DropIfUnused(Destination* destination) {
  if (!destination->subscriptions.empty() || !destination->waiting.empty()) return;
  if (destination->maker != nullptr) shares_.RemoveQueue(destination->maker);
  destinations_.erase(destination->name);
}

void Router::Deliver(Subscription* subscription, const MessagePtr& message, int nacks,
                     bool redelivered) {
  BrokerSession* session = subscription->session;
  if (session->slow || session->state != BrokerSession::State::kOpen) return;
  const std::string& tail = message->tail(session->version);
  const uint64_t number = ++subscription->delivered;
  const bool queue = subscription->destination->kind == DestinationKind::kQueue;
  const bool copied = (queue || subscription->destination->subscriptions.size() == 1) &&
                      tail.size() <= kCopiedBytesMax;
  std::string own;
  own.reserve(subscription->head.size() + 64 + (copied ? tail.size() : 0));
  absl::StrAppend(&own, subscription->head, number, "\n");
  if (subscription->ack != AckMode::kAuto) {
    absl::StrAppend(&own, "ack:", subscription->serial, "-", number, "\n");
  }
  if (redelivered) own.append("redelivered:true\n");
  if (copied) {
    own.append(tail);
    session->outbox.Add(std::move(own));
  } else {
    session->outbox.Add(std::move(own), std::shared_ptr<const std::string>(message, &tail));
  }
  if (queue && subscription->ack != AckMode::kAuto) {
    subscription->unacked.emplace(number, Unacked{message, nacks});
  }
  ready_->Add(session);
  CheckSlow(session);
}

void Router::CheckSlow(BrokerSession* session) {
  if (session->slow || session->outbox.bytes() <= bounds_.consumer_bytes) return;
  session->slow = true;
  slow_.push_back(session);
}

bool Router::HasCredit(const Subscription& subscription) const {
  const BrokerSession& session = *subscription.session;
  return session.state == BrokerSession::State::kOpen && !session.slow &&
         session.outbox.bytes() < kCreditBytes && subscription.unacked.size() < kUnackedMax;
}

Subscription* Router::NextConsumer(Destination* queue) {
  const size_t count = queue->subscriptions.size();
  for (size_t i = 0; i < count; ++i) {
    const size_t at = (queue->next + i) % count;
    Subscription* subscription = queue->subscriptions[at];
    if (HasCredit(*subscription)) {
      queue->next = (at + 1) % count;
      return subscription;
    }
    subscription->session->starved = true;
  }
  return nullptr;
}

Subscription* Router::TakerAtOnce(Destination* queue) {
  if (!queue->waiting.empty() || queue->full || queue->subscriptions.empty()) return nullptr;
  Subscription* consumer = NextConsumer(queue);
  if (consumer == nullptr || consumer->ack == AckMode::kAuto) return consumer;
  // It is still that one's turn.
  queue->next = consumer->index;
  return nullptr;
}

void Router::Pump(Destination* queue, base::Now now) {
  while (!queue->waiting.empty() && !queue->full && !queue->subscriptions.empty()) {
    Destination::Waiting& first = queue->waiting.front();
    if (first.message->expires() <= now.wall) {
      ++expired_;
      Forget(queue, *first.message);
      queue->waiting.pop_front();
      continue;
    }
    Subscription* consumer = NextConsumer(queue);
    if (consumer == nullptr) {
      queue->full = true;
      return;
    }
    const Destination::Waiting taken = std::move(first);
    queue->waiting.pop_front();
    if (consumer->ack == AckMode::kAuto) Forget(queue, *taken.message);
    Deliver(consumer, taken.message, taken.nacks, taken.redelivered);
  }
  if (queue->waiting.empty()) queue->first_expiry = absl::InfiniteFuture();
}

void Router::Forget(Destination* queue, const Message& message) {
  queue->bytes -= message.bytes();
  queued_bytes_ -= message.bytes();
  shares_.Remove(message);
}

}  // namespace orch::bus
