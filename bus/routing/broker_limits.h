// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "bus/stomp/config.pb.h"

// Every limit of the embedded broker, by name. Those of BrokerBounds can be configured and have
// their defaults here; the others are fixed.

namespace orch::bus {

// BrokerLimits with the defaults filled in.
struct BrokerBounds {
  size_t connections = 16'384;
  size_t body_bytes = 1 << 20;
  // Bytes that may wait for one consumer; one that reads so slowly that more wait is dropped.
  size_t consumer_bytes = 32 << 20;
  // Bytes of one queue, including messages that are delivered and not acknowledged.
  size_t queue_bytes = 64 << 20;
  // Bytes of messages, of outgoing frames and of unfinished incoming frames over all connections.
  // All queues together take at most half of it, so that what passes through always has room.
  size_t total_bytes = 256 << 20;
  size_t subscriptions = 128;
};

// From the beginning of a session (with TLS: the end of the handshake) until CONNECT is complete.
inline constexpr absl::Duration kConnectTimeMax = absl::Seconds(10);
// From the first to the last byte of a frame.
inline constexpr absl::Duration kFrameTimeMax = absl::Seconds(30);
// How long output may wait while the consumer takes none of it.
inline constexpr absl::Duration kStallTimeMax = absl::Seconds(30);
// From ERROR or DISCONNECT until the peer has taken the last frames and closed.
inline constexpr absl::Duration kEndTimeMax = absl::Seconds(2);
// Heart-beats are neither promised nor asked for more often than this.
inline constexpr absl::Duration kHeartBeatMin = absl::Milliseconds(500);
// No message waits in a queue for longer than this, whatever its headers say.
inline constexpr absl::Duration kMessageAgeMax = absl::Hours(24);
// How often queues are searched for expired messages.
inline constexpr absl::Duration kExpiryInterval = absl::Seconds(5);

// Connections of one node's certificate: one that lives and some that died without a word; as many
// again may be about to be closed. Without this limit a single node could take all connections.
inline constexpr size_t kConnectionsOfNodeMax = 8;
inline constexpr size_t kDestinationBytesMax = 512;
inline constexpr size_t kDestinationsMax = 50'000;
// How many queues one node, and all nodes together, may have made by sending to a queue that nobody
// reads. Such queues hold answers for controllers that are away; once somebody reads a queue it no
// longer counts. The limits are far below kDestinationsMax, which also has to be enough for what
// nodes and controllers subscribe.
inline constexpr size_t kQueuesOfNodeMax = 64;
inline constexpr size_t kQueuesOfNodesMax = 4'096;
// Bytes of one node's messages that wait in queues.
inline constexpr size_t kQueuedBytesOfNodeMax = 16 << 20;
inline constexpr size_t kSubscriptionIdBytesMax = 256;
// A queue gives a consumer no further messages while this many bytes wait for it; they stay in the
// queue for other consumers.
inline constexpr size_t kCreditBytes = 256 << 10;
// Messages of one subscription that are delivered and not acknowledged.
inline constexpr size_t kUnackedMax = 1'000;
// How many NACKs drop a message.
inline constexpr int kNacksMax = 10;
inline constexpr size_t kTransactionsMax = 16;          // of one connection
inline constexpr size_t kTransactionFramesMax = 1'000;  // of one transaction
inline constexpr size_t kTransactionBytesMax = 4 << 20;
// Messages of at most this size are copied for a single consumer instead of shared.
inline constexpr size_t kCopiedBytesMax = 4 << 10;
// The most lines for the log that wait to be taken; further ones are lost.
inline constexpr size_t kNotesMax = 64;

// BrokerLimits with the defaults filled in. InvalidArgument names the field that contradicts
// another.
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
