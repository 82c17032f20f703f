// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "bus/stomp/config.pb.h"
#include "bus/stomp/frame.h"

// The STOMP addresses of the bus, by collective and broker flavour, and everything else in which
// brokers differ; no other file knows of it. Identities and collectives are checked (base/ids.h)
// before they come here: they have no '*', '>', '#' or '/', so none of them can become a wildcard.
// Pure.
//
//   embedded, ActiveMQ                    RabbitMQ
//   /topic/P.C.request                    /exchange/P.cmd/C.request
//   /topic/P.C.node.<identity>            /exchange/P.cmd/C.node.<identity>
//   /queue/P.C.reply.<controller>         /exchange/P.rep/C.reply.<controller>
//   /topic/P.C.presence                   /exchange/P.rep/C.presence
//
// RabbitMQ has two topic exchanges, declared beforehand, because its rights are by exchange: nodes
// read P.cmd and write P.rep, controllers the other way round; its topic permissions narrow the
// keys. A reply key has no queue of its own there: a subscription makes one that dies with the
// connection, and nodes keep results for a controller that comes back. Keys have at most 255 bytes
// in AMQP, so identities above 200 are not for RabbitMQ.

namespace orch::bus {

// How many messages ActiveMQ may have on the way to one consumer. It bounds by number, not bytes,
// so that this times 256 KiB is what a consumer that reads nothing costs the broker; of what waits
// beyond, the oldest is dropped (deploy/brokers/activemq/limits.xml).
inline constexpr int kActiveMqPrefetch = 100;

struct Destinations {
  Flavour flavour = FLAVOUR_EMBEDDED;
  std::string prefix = "orch";

  // The flavour and prefix of `config`, with the defaults of config.proto for what is not set.
  static Destinations FromConfig(const BusConfig& config);

  std::string Request(absl::string_view collective) const;                              // broadcast
  std::string Node(absl::string_view collective, absl::string_view identity) const;     // directed
  std::string Reply(absl::string_view collective, absl::string_view controller) const;  // to one
  std::string Presence(absl::string_view collective) const;
};

// The time that is written into a message for a broker of this flavour so that it drops the message
// at `expires`, a time by our clock. ActiveMQ compares a sender's time with its own clock and
// silently drops what seems late, so its time is corrected by `skew`, which is our clock minus the
// one that the bus goes by (nullopt: not known yet). How long a message is really valid stands
// within its signed bytes.
absl::Time BrokerExpiry(Flavour flavour, absl::Time expires, std::optional<absl::Duration> skew);

// The headers of SEND besides the destination. They ask the broker not to persist the message, and
// to drop it when nobody took it by `expires` (InfiniteFuture: never). ActiveMQ is told the time;
// RabbitMQ and the embedded broker are told how long that is from `now`, so that their clocks do
// not matter.
std::vector<Header> SendHeaders(Flavour flavour, absl::Time expires, absl::Time now);

// The headers of SUBSCRIBE besides destination, id and ack.
std::vector<Header> SubscribeHeaders(Flavour flavour);

// The headers of CONNECT that name this client in the broker's log. There are none for ActiveMQ: it
// gives a client-id to one connection only, and would refuse a reconnect for as long as it believes
// in the old connection.
std::vector<Header> ConnectHeaders(Flavour flavour, absl::string_view client_id);

// The `host` of CONNECT where none is configured: the broker's host name, and `/` for RabbitMQ,
// which takes it for the name of a virtual host.
std::string DefaultVirtualHost(Flavour flavour, absl::string_view broker_host);

// What an ERROR frame says, in one line of at most kErrorTextMax printable ASCII characters. It is
// the message header and, for RabbitMQ, the first line of the body, because RabbitMQ's header is
// only a category. ActiveMQ's body is a stack trace and is left out.
inline constexpr size_t kErrorTextMax = 300;
std::string ErrorText(Flavour flavour, const Frame& error);

}  // namespace orch::bus
