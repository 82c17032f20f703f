// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/strand.h"
#include "bus/client/bus.h"
#include "orch/bus/v1/presence.pb.h"
#include "orch/bus/v1/reply.pb.h"
#include "trust/identity.h"

namespace orch::controller {

// Envelopes that arrived and are not handled yet. Above it the bus strand opens them itself, so
// that it reads slower and TCP pushes back on the broker; above twice as many they are dropped and
// counted.
inline constexpr size_t kPendingRepliesMax = 4096;
// Envelopes opened in one go.
inline constexpr size_t kOpenedAtOnceMax = 64;

// What was in an envelope whose signature, chain and CRL hold, whose content is well-formed, and
// whose signer is the node that it speaks of.
struct OpenedReply {
  trust::Peer peer;
  orch::bus::v1::Reply reply;
};
struct OpenedPresence {
  trust::Peer peer;
  orch::bus::v1::Presence presence;
  std::vector<std::string> chain;  // DER, where the envelope carried it
};
// Why an envelope counts for nothing.
struct RefusedEnvelope {
  enum class Why { kTrust, kMalformed, kWrongNode };
  Why why = Why::kTrust;
  trust::Refusal refusal = trust::Refusal::kEnvelope;  // with kTrust
  bool presence = false;
  std::string key;           // hex of the certificate's key id, or empty
  std::string text;          // for the log
  std::string claimed_node;  // kUnknownKey only: who to ask for a certificate; not verified
};
struct OpenedBatch {
  std::vector<OpenedReply> replies;
  std::vector<OpenedPresence> presences;
  std::vector<RefusedEnvelope> refused;
};

// Opens the envelopes that arrive, on the io_context's threads, and brings them home in batches, in
// the order in which they arrived: a node's news must not overtake each other.
//
// Lives on: the bus strand.
class Inbox : public std::enable_shared_from_this<Inbox> {
 public:
  // `on_batch` is called on `home`. `threads` that `io` has; 0: as many as the machine has cores.
  Inbox(boost::asio::io_context* io, base::Strand bus_strand, base::Strand home,
        std::shared_ptr<trust::Credentials> credentials, const base::Clock* clock,
        std::function<void(OpenedBatch)> on_batch, int threads = 0);

  void OnReply(bus::Delivery delivery) { OnDelivery(false, std::move(delivery.body)); }
  void OnPresence(bus::Delivery delivery) { OnDelivery(true, std::move(delivery.body)); }
  // Dropped because too many waited. Thread-safe.
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  struct Arrived {
    bool presence;
    std::string body;
  };
  // What one worker opens; `ticket` is its place in the order.
  struct Parcel {
    uint64_t ticket = 0;
    std::vector<Arrived> arrived;
  };
  void OnDelivery(bool presence, std::string body);
  void OpenSome();
  Parcel TakeParcel();
  // Thread-safe: opens all of it and posts the result home.
  void OpenParcel(const Parcel& parcel);
  void OpenInto(const Arrived& arrived, OpenedBatch* batch) const;
  void BringHome(uint64_t ticket, OpenedBatch batch, size_t count);

  boost::asio::io_context* const io_;
  const base::Strand bus_strand_;
  const base::Strand home_;
  const std::shared_ptr<trust::Credentials> credentials_;
  const base::Clock* const clock_;
  const std::function<void(OpenedBatch)> on_batch_;
  const int workers_max_;

  std::deque<Arrived> waiting_;
  int workers_ = 0;
  uint64_t next_ticket_ = 0;

  // On home_ only: parcels that were opened before one that arrived earlier.
  std::map<uint64_t, OpenedBatch> early_;
  uint64_t next_home_ = 0;

  std::atomic<size_t> unhandled_{0};  // waiting, being opened, or on their way home
  std::atomic<uint64_t> dropped_{0};
};

}  // namespace orch::controller
