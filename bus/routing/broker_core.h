// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "bus/routing/broker_limits.h"
#include "bus/routing/broker_router.h"
#include "bus/routing/broker_session.h"

// The embedded broker without its sockets.

namespace orch::bus {

// A line for the shell to log.
struct BrokerNote {
  bool warning = false;
  std::string who;   // the connection: its peer's name, if it has one, and its address
  std::string text;  // `refused: SEND before CONNECT`
};

// Why the broker ended a connection.
enum class BrokerRefusal : uint8_t {
  kMalformed,    // not STOMP, or against STOMP's rules
  kDenied,       // no right to do so
  kFull,         // a limit of queues, destinations, subscriptions, transactions, memory
  kSlow,         // it reads too slowly
  kTimeout,      // no CONNECT, no end of a frame, no heart-beat in time
  kConnections,  // over the limit of connections, of all or of this node
};
inline constexpr size_t kBrokerRefusals = 6;
absl::string_view BrokerRefusalName(BrokerRefusal refusal);

// Counts since the start; `bytes_held` is the figure of now.
struct BrokerCounters {
  uint64_t sessions_total = 0;
  uint64_t refused = 0;  // connections ended with an ERROR, or over the limit
  std::array<uint64_t, kBrokerRefusals> refused_by{};  // the same, by BrokerRefusal
  uint64_t slow_consumers_dropped = 0;                 // among them
  uint64_t frames_in = 0, frames_out = 0, bytes_in = 0, bytes_out = 0;
  uint64_t expired = 0;     // messages nobody took in time
  uint64_t discarded = 0;   // messages refused kNacksMax times
  uint64_t bytes_held = 0;  // now
};

// STOMP 1.2, 1.1 and 1.0 as a server speaks it: sessions, rights, topics, queues, acknowledgements,
// transactions, receipts, heart-beats and limits. Whatever a client does wrong is answered with an
// ERROR frame that says so, and ends its connection only.
//
// Pure: bytes come in through OnBytes, go out through each session's outbox, time is an argument.
// The shell owns the transports: it calls Open and Close, writes the outboxes of TakeReady, closes
// a transport whose session is kEnded once its outbox is empty or the session is overdue, and calls
// OnTime at NextCheck.
//
// Lives on: the broker's strand. Nothing here is thread-safe.
class BrokerCore {
 public:
  // `prefix` is what the bus's destinations begin with; rights speak of these.
  BrokerCore(BrokerBounds bounds, std::string prefix);
  ~BrokerCore();

  // Begins the session of an accepted transport; it lives until Close. Null: over the limit of
  // connections. A node that has kConnectionsOfNodeMax connections already loses the one that was
  // silent for longest, because connections that broke without a word would otherwise keep the node
  // out.
  BrokerSession* Open(BrokerPeer peer, std::string where, BrokerLink* link, base::Now now);
  void OnBytes(BrokerSession* session, absl::string_view bytes, base::Now now);
  // To be called after the shell tried to write the outbox: the transport took `size` bytes,
  // perhaps none.
  void OnWritten(BrokerSession* session, size_t size, base::Now now);
  // To be called when the transport has ended. Destroys `session`.
  void Close(BrokerSession* session, base::Now now);

  // Ends a session for a reason from outside the protocol; the client gets an ERROR that says it.
  void Evict(BrokerSession* session, const absl::Status& why, base::Now now);
  // Ends all sessions, each once its outbox is written, because the broker stops.
  void EndAll(base::Now now);

  // The sessions that have something to write, or have ended, since the last call. Writing them may
  // make others ready, so this is to be repeated until it is empty.
  std::vector<BrokerSession*> TakeReady() { return ready_.Take(); }
  // When OnTime is to be called next, on the steady clock; InfiniteDuration: there is nothing to
  // wait for.
  absl::Duration NextCheck() const;
  void OnTime(base::Now now);

  std::vector<BrokerNote> TakeNotes() { return std::exchange(notes_, {}); }
  BrokerCounters counters() const;
  // The connections of now by BrokerPeer::Kind, and the destinations of now by BusKind. They walk
  // over everything, so they are for metrics only.
  std::array<uint64_t, 4> PeerCensus() const;
  std::array<DestinationCensus, kBusKinds> Census() const { return router_.Census(prefix_); }
  size_t bytes_held() const { return meter_.bytes; }
  size_t sessions() const { return sessions_.size(); }

 private:
  void OnFrame(BrokerSession* session, Frame frame, base::Now now);
  absl::Status Perform(BrokerSession* session, Frame* frame, base::Now now);
  absl::Status OnConnect(BrokerSession* session, const Frame& frame);
  absl::Status OnSubscribe(BrokerSession* session, const Frame& frame, base::Now now);
  absl::Status OnUnsubscribe(BrokerSession* session, const Frame& frame, base::Now now);
  absl::Status OnSend(BrokerSession* session, Frame* frame, base::Now now);
  absl::Status OnAck(BrokerSession* session, Frame* frame, base::Now now);
  absl::Status OnCommit(BrokerSession* session, const Frame& frame, base::Now now);

  void Reply(BrokerSession* session, const Frame& frame);
  // Ends the session: an ERROR frame behind what is partly written, then the transport is closed.
  // The status' code says which BrokerRefusal it is.
  void Fail(BrokerSession* session, const std::string* receipt, const absl::Status& status,
            base::Now now);
  void EndLongestSilent(const std::string& node, base::Now now);
  void CountRefusal(BrokerRefusal refusal);
  void End(BrokerSession* session, base::Now now);
  void DropSlow(base::Now now);
  void KeepWithinTotal(base::Now now);
  void CountInput(BrokerSession* session);
  void Note(const BrokerSession& session, bool warning, std::string text);

  absl::Duration NextCheckOf(const BrokerSession& session) const;
  void Schedule(BrokerSession* session);
  void CheckTimes(BrokerSession* session, base::Now now);

  const BrokerBounds bounds_;
  const std::string prefix_;
  Meter meter_;
  ReadyList ready_;
  Router router_;
  absl::flat_hash_map<BrokerSession*, std::unique_ptr<BrokerSession>> sessions_;
  absl::flat_hash_map<std::string, size_t> of_node_;            // sessions by the node's name
  std::set<std::pair<absl::Duration, BrokerSession*>> checks_;  // by check_at
  absl::Duration next_expiry_ = absl::ZeroDuration();
  std::vector<Frame> frames_;  // scratch of OnBytes
  std::vector<BrokerNote> notes_;
  BrokerCounters counters_;
};

}  // namespace orch::bus
