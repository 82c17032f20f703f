// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "bus/stomp/config.pb.h"

// Every limit of the embedded broker, by name. Those of the configuration have their defaults here;
// the others are fixed.

namespace orch::bus {

// BrokerLimits with the defaults filled in.
struct BrokerBounds {
  size_t connections = 16'384;
  size_t body_bytes = 1 << 20;
  // Waiting for one consumer that reads too slowly, before it is dropped.
  size_t consumer_bytes = 32 << 20;
  // Of one queue, delivered but not acknowledged messages included.
  size_t queue_bytes = 64 << 20;
  // Messages, outgoing frames and unfinished incoming frames over all connections. All queues
  // together take at most half of it, so that what passes through always has room.
  size_t total_bytes = 256 << 20;
  size_t subscriptions = 128;
};

// From connecting (and from the end of the TLS handshake) until CONNECT is complete.
inline constexpr absl::Duration kConnectTimeMax = absl::Seconds(10);
// From the first to the last byte of a frame.
inline constexpr absl::Duration kFrameTimeMax = absl::Seconds(30);
// Output is waiting and the consumer takes none of it.
inline constexpr absl::Duration kStallTimeMax = absl::Seconds(30);
// After ERROR or DISCONNECT: to take the last frames and close.
inline constexpr absl::Duration kEndTimeMax = absl::Seconds(2);
// Heart-beats more often than this are neither promised nor asked for.
inline constexpr absl::Duration kHeartBeatMin = absl::Milliseconds(500);
// Queued messages without an `expires` header end after this.
inline constexpr absl::Duration kMessageAgeMax = absl::Hours(24);
// How often queues are searched for expired messages.
inline constexpr absl::Duration kExpiryInterval = absl::Seconds(5);

// Connections of one node's certificate: one that lives, and some that died without a word; as many
// again may be about to be closed. Without it a single node could take all that there are.
inline constexpr size_t kConnectionsOfNodeMax = 8;
inline constexpr size_t kDestinationBytesMax = 512;
inline constexpr size_t kDestinationsMax = 50'000;
// Queues that hold answers for controllers that are away: as many as one node, and all nodes
// together, may have made. Whoever reads a queue takes it over, so that a fleet at work has none.
// Far below kDestinationsMax, which has to do for what nodes and controllers subscribe.
inline constexpr size_t kQueuesOfNodeMax = 64;
inline constexpr size_t kQueuesOfNodesMax = 4'096;
// Bytes of one node's messages that wait in queues.
inline constexpr size_t kQueuedBytesOfNodeMax = 16 << 20;
inline constexpr size_t kSubscriptionIdBytesMax = 256;
// A queue gives a consumer no more while so much waits for it; the rest stays in the queue for
// others.
inline constexpr size_t kCreditBytes = 256 << 10;
// Delivered and not acknowledged, of one subscription.
inline constexpr size_t kUnackedMax = 1'000;
// NACKs of one message, after which it is dropped.
inline constexpr int kNacksMax = 10;
inline constexpr size_t kTransactionsMax = 16;          // of one connection
inline constexpr size_t kTransactionFramesMax = 1'000;  // of one transaction
inline constexpr size_t kTransactionBytesMax = 4 << 20;
// Messages up to this are copied for a single consumer instead of shared.
inline constexpr size_t kCopiedBytesMax = 4 << 10;
// Log lines that wait to be taken.
inline constexpr size_t kNotesMax = 64;

// InvalidArgument names the field that can't be.
inline absl::StatusOr<BrokerBounds> ResolveLimits(const BrokerLimits& limits) {
  BrokerBounds out;
  if (limits.connections() != 0) out.connections = limits.connections();
  if (limits.body_bytes() != 0) out.body_bytes = limits.body_bytes();
  if (limits.consumer_bytes() != 0) out.consumer_bytes = limits.consumer_bytes();
  if (limits.queue_bytes() != 0) out.queue_bytes = limits.queue_bytes();
  if (limits.total_bytes() != 0) out.total_bytes = limits.total_bytes();
  if (limits.subscriptions() != 0) out.subscriptions = limits.subscriptions();
  // Headers and bookkeeping come on top of a body.
  const size_t frame = out.body_bytes + (16 << 10);
  if (out.consumer_bytes < frame) {
    return absl::InvalidArgumentError(
        absl::StrCat("limits.consumer_bytes: ", out.consumer_bytes,
                     " is too small for one frame of limits.body_bytes; at least ", frame));
  }
  if (out.queue_bytes < frame) {
    return absl::InvalidArgumentError(
        absl::StrCat("limits.queue_bytes: ", out.queue_bytes,
                     " is too small for one frame of limits.body_bytes; at least ", frame));
  }
  if (out.total_bytes < 4 * frame) {
    return absl::InvalidArgumentError(absl::StrCat("limits.total_bytes: ", out.total_bytes,
                                                   " is too small for limits.body_bytes; at least ",
                                                   4 * frame));
  }
  return out;
}

}  // namespace orch::bus
