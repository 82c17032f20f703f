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

// How many envelopes may have arrived and not be handled yet. Beyond this the bus strand opens
// envelopes itself, so that it reads more slowly and TCP pushes back on the broker; beyond twice as
// many, envelopes are dropped and counted.
inline constexpr size_t kPendingRepliesMax = 4096;
// How many envelopes are opened in one go.
inline constexpr size_t kOpenedAtOnceMax = 64;

// The content of an envelope that was verified: its signature and chain hold, the signer is not
// revoked, the content is well-formed, and the signer is the node that it speaks of.
struct OpenedReply {
  trust::Peer peer;
  orch::bus::v1::Reply reply;
};
struct OpenedPresence {
  trust::Peer peer;
  orch::bus::v1::Presence presence;
  std::vector<std::string> chain;  // DER, where the envelope carried it
};
// An envelope that is ignored, and why.
struct RefusedEnvelope {
  enum class Why { kTrust, kMalformed, kWrongNode };
  Why why = Why::kTrust;
  trust::Refusal refusal = trust::Refusal::kEnvelope;  // with kTrust
  bool presence = false;
  std::string key;           // hex of the certificate's key id, or empty
  std::string text;          // for the log
  std::string claimed_node;  // with kUnknownKey: the node to ask for its certificate; not verified
};
struct OpenedBatch {
  std::vector<OpenedReply> replies;
  std::vector<OpenedPresence> presences;
  std::vector<RefusedEnvelope> refused;
};

// Opens the envelopes that arrive, on the io_context's threads, and hands them to the strand `home`
// in batches. They come in the order in which they arrived, because one message of a node must not
// overtake another.
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
  // How many envelopes were dropped because too many waited. Thread-safe.
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  struct Arrived {
    bool presence;
    std::string body;
  };
  // The envelopes that one worker opens; `ticket` is the parcel's place in the order of arrival.
  struct Parcel {
    uint64_t ticket = 0;
    std::vector<Arrived> arrived;
  };
  void OnDelivery(bool presence, std::string body);
  void OpenSome();
  Parcel TakeParcel();
  // Opens a parcel and posts the result home. Thread-safe.
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

  // Opened parcels that wait for one that arrived earlier. On home_ only.
  std::map<uint64_t, OpenedBatch> early_;
  uint64_t next_home_ = 0;

  std::atomic<size_t> unhandled_{0};  // waiting, being opened, or on their way home
  std::atomic<uint64_t> dropped_{0};
};

}  // namespace orch::controller
