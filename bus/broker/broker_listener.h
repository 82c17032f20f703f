// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/ssl.h>

#include <list>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "bus/broker/broker_hub.h"
#include "bus/broker/broker_link.h"
#include "trust/identity.h"

// Where connections come in.

namespace orch::bus {

// Accepts connections and makes SocketLinks of them. Pauses while too many handshakes are under way
// (more wait in the kernel's queue) and for a moment when the process has no descriptors left.
//
// Anybody can connect, so what strangers hold must not keep a fleet out: when there are too many
// handshakes, those are given up that wait for a slow peer, sooner where its address has more than
// its share; only if there are none accepting pauses. A fleet that comes back at once, and be it
// from one address, is not slow: it waits for us, and who had to wait in the kernel's queue has
// said his first word by the time he is accepted.
//
// Lives on: the broker's strand.
class BrokerListener : public Pollable {
 public:
  // The most handshakes that are under way at once, and how long one may take.
  static constexpr size_t kHandshakesMax = 512;
  static constexpr absl::Duration kHandshakeTimeMax = absl::Seconds(10);
  // When there are too many: how long a peer may take until its first byte, from then until its
  // first message is complete, and after our answer to it. Far above a round trip; the last also
  // above what a machine with very many clients takes to go through them.
  static constexpr absl::Duration kBeginTime = absl::Seconds(1);
  static constexpr absl::Duration kHelloTime = absl::Milliseconds(300);
  static constexpr absl::Duration kAnswerTime = absl::Seconds(4);
  // An address's share of the handshakes, and what one above it may take.
  static constexpr size_t kHandshakesOfAddressMax = 128;
  static constexpr absl::Duration kGreedyBeginTime = absl::Milliseconds(500);
  static constexpr absl::Duration kGreedyAnswerTime = absl::Seconds(2);
  // Connections in the kernel's queue: a fleet comes back all at once.
  static constexpr int kBacklog = 4096;

  // Binds `address`. `credentials` null: plain STOMP, as kAnyone; then only loopback is accepted
  // (FailedPrecondition). Unavailable: the address is in use or not ours. All errors name it.
  static absl::StatusOr<std::unique_ptr<BrokerListener>> Make(
      BrokerHub* hub, const std::string& address, std::shared_ptr<trust::Credentials> credentials);
  ~BrokerListener() override;

  void OnEvents(uint32_t events) override;
  // `127.0.0.1:61613`, with the real port.
  const std::string& address() const { return address_; }
  size_t handshakes_pending() const { return pending_.size(); }

 private:
  // A handshake that is under way, and when it has to be over. The list has the oldest first.
  struct Pending {
    absl::Duration deadline;
    SocketLink* link;
    std::string network;  // of NetworkOf
  };

  BrokerListener(BrokerHub* hub, int fd, std::shared_ptr<trust::Credentials> credentials)
      : hub_(hub), fd_(fd), credentials_(std::move(credentials)) {}
  void Accept(int fd, std::string where);
  void AcceptTls(int fd, std::string where);
  absl::Status RenewContext();
  void EndHandshake(std::list<Pending>::iterator pending);
  void CheckHandshakes();
  // True: some were.
  bool GiveUpSlow();
  void Pause();
  void Resume();

  BrokerHub* const hub_;
  const int fd_;
  const std::shared_ptr<trust::Credentials> credentials_;
  std::string address_;
  std::shared_ptr<SSL_CTX> context_;
  absl::Duration context_made_ = -absl::InfiniteDuration();
  std::list<Pending> pending_;
  absl::flat_hash_map<std::string, size_t> networks_;  // of pending_
  bool paused_ = false;
  absl::Duration watch_at_ = absl::InfiniteDuration();  // when pending_ is looked at next
  // Shared with callbacks that the hub may call after our end; null then.
  std::shared_ptr<BrokerListener*> self_ = std::make_shared<BrokerListener*>(this);
};

// Lets this process have as many descriptors as its hard limit allows. Returns how many.
size_t RaiseFileLimit();

}  // namespace orch::bus
