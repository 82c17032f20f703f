// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "bus/routing/broker_message.h"
#include "bus/routing/broker_rights.h"
#include "bus/routing/broker_transactions.h"
#include "bus/stomp/frame.h"

// What the broker knows of one connection and its subscriptions. This is plain data: Router moves
// messages through it, BrokerCore changes its state, and the shell writes its outbox. Pure.

namespace orch::bus {

struct BrokerSession;
struct Destination;

enum class AckMode : uint8_t { kAuto, kClient, kClientIndividual };

// A message that was delivered and not acknowledged yet.
struct Unacked {
  MessagePtr message;
  int nacks = 0;
};

struct Subscription {
  BrokerSession* session = nullptr;
  Destination* destination = nullptr;
  AckMode ack = AckMode::kAuto;
  size_t index = 0;        // in destination->subscriptions
  uint64_t serial = 0;     // unique among all subscriptions of the broker
  uint64_t delivered = 0;  // deliveries so far; the last one's number
  // Unacknowledged messages by delivery number; only of queues, and empty with ack:auto.
  std::string id;    // as the client named it; may be empty in STOMP 1.0
  std::string head;  // the beginning of each MESSAGE frame, up to the number in message-id
  std::map<uint64_t, Unacked> unacked;
};

// The shell's side of a connection, which owns the transport.
class BrokerLink {
 public:
  virtual ~BrokerLink() = default;
  // The outbox has something in it, or the session has ended: write it, then close.
  virtual void OnReady() = 0;
};

struct BrokerSession {
  enum class State : uint8_t {
    kNew,    // nothing but CONNECT is understood
    kOpen,   // between CONNECTED and the end
    kEnded,  // input is ignored; the outbox is written, then the transport is closed
  };

  BrokerSession(BrokerPeer who, std::string from, BrokerLink* shell, FrameLimits limits,
                Meter* meter)
      : peer(std::move(who)), where(std::move(from)), link(shell), decoder(limits), outbox(meter) {}

  // Constant after construction.
  const BrokerPeer peer;
  const std::string where;  // `127.0.0.1:40312`
  BrokerLink* const link;

  State state = State::kNew;
  StompVersion version = StompVersion::k12;
  bool ready = false;    // is in the list that TakeReady gives out
  bool starved = false;  // a queue had more for it than its credit allowed
  bool slow = false;     // over consumer_bytes, about to be dropped
  bool overdue = false;  // the time to write the last frames is up: close at once
  Decoder decoder;
  Outbox outbox;
  std::vector<std::unique_ptr<Subscription>> subscriptions;
  Transactions transactions;
  size_t counted_input = 0;  // of decoder and transactions, in the meter

  // Steady clock.
  absl::Duration opened;
  absl::Duration ended;
  absl::Duration last_in;
  absl::Duration last_out;
  absl::Duration frame_begun = absl::InfiniteDuration();  // of the incomplete frame
  absl::Duration stalled = absl::InfiniteDuration();      // output waits and none was taken since
  absl::Duration beat_in = absl::ZeroDuration();          // agreed; zero: none
  absl::Duration beat_out = absl::ZeroDuration();
  absl::Duration check_at = absl::InfiniteDuration();  // when the core looks at these times again
};

}  // namespace orch::bus
