// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "base/log.h"
#include "base/strand.h"
#include "bus/broker/poller.h"
#include "bus/routing/broker_core.h"
#include "trust/identity.h"

// What the connections of a broker share: the core that decides, the poller that tells of
// readiness, the clock, and one buffer for reading.

namespace orch::bus {

// Who a peer with this verified certificate is on the bus.
BrokerPeer PeerFrom(const trust::Peer& peer);

// Lives on: the broker's strand.
class BrokerHub : public std::enable_shared_from_this<BrokerHub> {
 public:
  // Reads of all connections go into one buffer of this size; also the largest TLS record.
  static constexpr size_t kBufferBytes = 64 << 10;
  // Steps of TLS handshakes in one round of the poller, so that handshakes, which cost a
  // private-key operation, do not hold up the other connections.
  static constexpr int kHandshakeStepsMax = 8;

  static absl::StatusOr<std::shared_ptr<BrokerHub>> Make(base::Strand strand, BrokerBounds bounds,
                                                         std::string prefix);
  ~BrokerHub();
  void Start();
  // Ends all sessions; `done` comes once they are gone, within kEndTimeMax.
  void Stop(std::function<void()> done);
  bool stopping() const { return done_ != nullptr || stopped_; }

  const base::Strand& strand() const { return strand_; }
  BrokerCore& core() { return core_; }
  Poller& poller() { return *poller_; }
  char* buffer() { return buffer_.data(); }
  base::Now Now() const { return base::SystemClock().Read(); }

  // To be called after any input: writes what is ready, logs, destroys buried connections and sets
  // the timer.
  void Settle();
  // Owns a connection's shell until Bury.
  void Keep(std::unique_ptr<Pollable> link);
  // Destroys a connection's shell once none of its methods can be under way any more.
  void Bury(Pollable* link);
  // Lets every connection judge its peer again, a few of them in each round, because a chain takes
  // half a millisecond.
  void JudgeAgain();
  // Calls `wake` once, when the clock is next looked at at or after `when` (steady).
  void WakeAt(absl::Duration when, std::function<void()> wake);
  // Takes one of the kHandshakeStepsMax steps of this round. False: they are used up; try again in
  // the next round.
  bool TakeHandshakeStep() { return handshake_steps_-- > 0; }
  // Logs why a connection was ended or refused: at most one line for each peer address, kind of
  // reason and minute.
  void LogRefusal(const std::string& where, const std::string& why);
  // Logs and counts a connection whose TLS handshake failed or was given up.
  void RefuseHandshake(const std::string& where, const std::string& why);
  uint64_t handshakes_refused() const { return handshakes_refused_; }

 private:
  BrokerHub(base::Strand strand, BrokerBounds bounds, std::string prefix)
      : strand_(strand), core_(bounds, std::move(prefix)), timer_(strand), buffer_(kBufferBytes) {}
  void JudgeSome();
  void LogNotes();
  void SetTimer();
  void OnTimer();
  void WatchMemory();

  base::Strand strand_;
  BrokerCore core_;
  std::shared_ptr<Poller> poller_;
  base::asio::steady_timer timer_;
  absl::Duration timer_at_ = absl::InfiniteDuration();
  std::vector<char> buffer_;
  absl::flat_hash_map<Pollable*, std::unique_ptr<Pollable>> links_;
  std::vector<std::unique_ptr<Pollable>> buried_;
  // Connections that JudgeAgain has still to visit; some may be gone by now.
  std::vector<Pollable*> to_judge_;
  std::vector<std::pair<absl::Duration, std::function<void()>>> wakes_;
  base::LogLimiter refusals_;
  size_t held_max_ = 0;  // bytes held, at most, since memory was last given back
  bool giving_back_ = false;
  int handshake_steps_ = kHandshakeStepsMax;
  uint64_t handshakes_refused_ = 0;
  bool settling_ = false;
  bool stopped_ = false;
  std::function<void()> done_;
};

}  // namespace orch::bus
