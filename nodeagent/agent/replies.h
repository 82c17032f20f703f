// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/strand.h"
#include "base/telemetry/traceparent.h"
#include "base/weak.h"
#include "bus/client/bus.h"
#include "bus/stomp/destination.h"
#include "orch/bus/v1/reply.pb.h"
#include "orch/bus/v1/request.pb.h"
#include "trust/identity.h"

namespace orch::nodeagent {

// A reply with its certificate must fit into an envelope.
inline constexpr size_t kReplyMax = 240 << 10;
// Outcomes that are not on the bus yet; beyond, the oldest is left to the journal and a result
// query.
inline constexpr size_t kUnsentMax = 256;
inline constexpr size_t kUnsentBytesMax = 4 << 20;
// News of one request.
inline constexpr int kProgressPerSecondMax = 20;
inline constexpr int kProgressMax = 2000;
// Refusals and answers to duplicates, all requests together: replaying is cheap, signing is not.
inline constexpr int kRepeatsPerSecondMax = 50;

// So many a second, and as many at once. Pure.
class Budget {
 public:
  explicit Budget(int per_second) : per_second_(per_second), tokens_(per_second) {}
  bool Take(base::Now now);

 private:
  const int per_second_;
  double tokens_;
  absl::Duration last_;
};

// One request and what is answered to it.
struct Exchange {
  std::string request_id;
  std::string digest;  // SHA-256 of the request's payload
  std::string job_id;
  std::string collective;
  std::string controller;
  std::string traceparent;  // as it came; replies carry it back
  base::Traceparent trace;  // this node's span of it
  uint64_t sequence = 0;    // of the last reply
  int progress = 0;         // pieces of news sent
  uint64_t omitted = 0;     // pieces of news that were not, all together
  uint64_t untold = 0;      // of those, since the last that was sent
  Budget progress_budget{kProgressPerSecondMax};
};
// `node`: this one, for its span. `payload_digest`: of the bytes that were signed. `accepted`:
// after a restart, when it was; sequence numbers then go on above those of the former process.
std::shared_ptr<Exchange> NewExchange(const orch::bus::v1::Request& request, absl::string_view node,
                                      std::string payload_digest);
std::shared_ptr<Exchange> ResumedExchange(const orch::bus::v1::Request& request,
                                          absl::string_view node, std::string payload_digest,
                                          absl::Time accepted, absl::Time now);

// REFUSED, DENIED, … with a reason for programs and a message for people.
orch::bus::v1::Outcome MakeOutcome(orch::v1::NodeState state, absl::string_view reason,
                                   absl::string_view message);
// Makes an outcome fit into a reply: a Puppet run loses its list of changes, anything else its
// result; what only reads then has failed.
void FitOutcome(orch::bus::v1::Outcome* outcome);

// Signs what this node answers and brings it to the controller that asked: outcomes until they are
// on the bus, the rest once.
//
// Lives on: the agent's strand.
class Replies {
 public:
  Replies(const base::Clock* clock, std::string identity, bus::Destinations destinations,
          bus::Bus* client, std::shared_ptr<trust::Credentials> credentials);

  void SendAccepted(Exchange* exchange, absl::Time accepted);
  // Not sent, but counted, where there is too much of it or no connection.
  void SendProgress(Exchange* exchange, orch::v1::ActionProgress progress);
  void SendDiscovered(Exchange* exchange, orch::bus::v1::Discovered discovered);
  // To a result query: `request_id` is the one that was asked for, the digest that of the query.
  void SendUnknown(const Exchange& query, const std::string& request_id, bool never_started);
  // Sent again after each reconnect until the broker has it.
  void SendOutcome(Exchange* exchange, const orch::bus::v1::Outcome& outcome);
  // What is not on the bus yet is sent (again).
  void Resend();

  size_t unsent() const { return unsent_.size(); }

 private:
  struct Unsent {
    uint64_t number;
    std::string destination;
    std::string body;
    absl::Time expires;
    bool under_way = false;
  };
  orch::bus::v1::Reply Begin(Exchange* exchange) const;
  // Serialised and signed; empty if it could not be, which is logged.
  std::string Seal(const orch::bus::v1::Reply& reply) const;
  void SendOnce(const Exchange& exchange, const orch::bus::v1::Reply& reply,
                absl::Duration lifetime);
  void Transmit(Unsent* unsent);
  void OnSent(uint64_t number, const absl::Status& status);

  const base::Clock* const clock_;
  const std::string identity_;
  const bus::Destinations destinations_;
  bus::Bus* const client_;
  const std::shared_ptr<trust::Credentials> credentials_;
  std::list<Unsent> unsent_;  // oldest first
  size_t unsent_bytes_ = 0;
  uint64_t next_number_ = 1;
  base::Lifetime lifetime_;
};

}  // namespace orch::nodeagent
