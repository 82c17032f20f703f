// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/ssl.h>

#include <list>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "bus/broker/broker_hub.h"
#include "bus/broker/broker_link.h"
#include "trust/identity.h"

// Where connections come in.

namespace orch::bus {

// Accepts connections and makes SocketLinks of them. Pauses while too many handshakes are under way
// (more wait in the kernel's queue) and for a moment when the process has no descriptors left.
//
// Anybody can connect, so handshakes of strangers must not keep a fleet out: while it pauses,
// handshakes whose peer is silent are given up. A fleet that comes back at once is not hit by that,
// because its peers wait for us: by the time a connection leaves the kernel's queue, its peer has
// sent its first message.
//
// Lives on: the broker's strand.
class BrokerListener : public Pollable {
 public:
  // The most handshakes that are under way at once, and how long one may take.
  static constexpr size_t kHandshakesMax = 512;
  static constexpr absl::Duration kHandshakeTimeMax = absl::Seconds(10);
  // How long a peer may be silent while accepting pauses: before its first message is complete, and
  // after our answer to it. Both are far above a round trip; the second is also above what a
  // machine that runs very many clients takes to go through them.
  static constexpr absl::Duration kHelloTime = absl::Seconds(1);
  static constexpr absl::Duration kAnswerTime = absl::Seconds(4);
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
  };

  BrokerListener(BrokerHub* hub, int fd, std::shared_ptr<trust::Credentials> credentials)
      : hub_(hub), fd_(fd), credentials_(std::move(credentials)) {}
  void Accept(int fd, std::string where);
  void AcceptTls(int fd, std::string where);
  absl::Status RenewContext();
  void EndHandshake(std::list<Pending>::iterator pending);
  void CheckHandshakes();
  // Gives up the handshakes whose peer is silent. True: there were some.
  bool GiveUpSilent();
  void Pause();
  void Resume();

  BrokerHub* const hub_;
  const int fd_;
  const std::shared_ptr<trust::Credentials> credentials_;
  std::string address_;
  std::shared_ptr<SSL_CTX> context_;
  absl::Duration context_made_ = -absl::InfiniteDuration();
  std::list<Pending> pending_;
  bool paused_ = false;
  absl::Duration watch_at_ = absl::InfiniteDuration();  // when pending_ is looked at next
  // Shared with callbacks that the hub may call after our end; null then.
  std::shared_ptr<BrokerListener*> self_ = std::make_shared<BrokerListener*>(this);
};

// Lets this process have as many descriptors as its hard limit allows. Returns how many.
size_t RaiseFileLimit();

}  // namespace orch::bus
