// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

// Rights on the embedded broker: who may send to and subscribe which destination (docs/security.md,
// "Broker rights"). Pure.

namespace orch::bus {

// Who is at the other end of a connection, as its transport proved it. A STOMP login proves nothing
// and is ignored.
struct BrokerPeer {
  enum class Kind : uint8_t {
    kNobody,      // may connect nowhere: a user's certificate, for example
    kAnyone,      // insecure_loopback: may do everything
    kNode,        // reads requests and its own destination; writes replies and presence
    kController,  // writes requests; reads its replies and presence
  };
  Kind kind = Kind::kNobody;
  std::string name;  // the certificate's common name
};

// `node`, for metrics.
absl::string_view PeerKindName(BrokerPeer::Kind kind);
// `node web01.example.net`, for errors and the log.
std::string DescribePeer(const BrokerPeer& peer);

enum class DestinationKind : uint8_t { kTopic, kQueue };

// Checks that a destination is `/topic/…` or `/queue/…`, printable and at most kDestinationBytesMax
// bytes long, and says which of both it is. InvalidArgument says what is wrong with it; wildcards
// and other kinds of destination are not served.
absl::Status CheckDestination(absl::string_view destination, DestinationKind* kind);

// What the bus uses a destination for (bus/stomp/destination.h); kOther: it is none of the bus's.
enum class BusKind : uint8_t { kOther, kRequest, kNode, kReply, kPresence };
inline constexpr size_t kBusKinds = 5;
absl::string_view BusKindName(BusKind kind);
BusKind BusKindOf(absl::string_view prefix, absl::string_view destination);

// Whether `peer` may SEND to, or SUBSCRIBE, a destination of the bus whose destinations begin with
// `prefix`.
bool MaySend(const BrokerPeer& peer, absl::string_view prefix, absl::string_view destination);
bool MaySubscribe(const BrokerPeer& peer, absl::string_view prefix, absl::string_view destination);

}  // namespace orch::bus
