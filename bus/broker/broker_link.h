// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/ssl.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "bus/broker/broker_hub.h"
#include "bus/broker/poller.h"
#include "bus/routing/broker_session.h"

// The transport of one accepted connection: a non-blocking socket, plain or with TLS.

namespace orch::bus {

// The hub owns a link, and the link ends itself: when the peer closes, when the core has ended the
// session and the last frames are written, or when its handshake takes too long.
//
// Lives on: the broker's strand.
class SocketLink : public Pollable, public BrokerLink {
 public:
  // Serves plain STOMP to `peer` on `fd`, which it owns from then on. False: the kernel or the core
  // refused, and `fd` is closed.
  static bool Start(BrokerHub* hub, int fd, std::string where, BrokerPeer peer);
  // Begins with a TLS handshake, which says who the peer is. `ended` is called once when the
  // handshake is over, whether it succeeded or not. Null: it could not begin, and `fd` is closed.
  static SocketLink* StartTls(BrokerHub* hub, int fd, std::string where, SSL_CTX* context,
                              std::function<void()> ended);
  ~SocketLink() override;

  void OnEvents(uint32_t events) override;
  void OnReady() override;
  void JudgeAgain() override;
  // Gives up a handshake that is still under way and closes; `why` is for the log.
  void GiveHandshakeUp(absl::string_view why);
  // How long a handshake may wait for its peer: until its first byte, from that to the end of its
  // first message, and after our answer.
  struct Patience {
    absl::Duration begin;
    absl::Duration hello;
    absl::Duration answer;
  };
  // Whether this one has waited longer, from when it was accepted or answered; drops that come
  // meanwhile don't count. Never while something lies there unread because we are busy.
  bool PeerIsSlow(const Patience& patience) const;

 private:
  // What a try to read or write came to.
  enum class Result { kDone, kBlocked, kClosed };

  SocketLink(BrokerHub* hub, int fd, std::string where)
      : hub_(hub), fd_(fd), where_(std::move(where)), stage_began_(hub->Now().steady) {}
  void Handshake();
  void EndHandshake();
  bool OpenSession(BrokerPeer peer);
  void Read();
  // Writes what waits in the outbox. False: the connection was closed.
  bool Write();
  Result WriteSome(size_t* written);
  Result ReadSome(size_t* size);
  Result FromTls(int returned);
  void FinishEnded();
  void WatchFor(uint32_t events);
  void Close();

  BrokerHub* const hub_;
  int fd_;
  const std::string where_;
  SSL* tls_ = nullptr;
  BrokerSession* session_ = nullptr;        // null before the end of the handshake
  std::function<void()> on_handshake_end_;  // null when there is none under way
  absl::Duration stage_began_;              // steady time when it was accepted, or answered
  int handshake_steps_ = 0;
  bool answered_ = false;
  uint32_t watched_ = 0;
  size_t discarded_ = 0;      // bytes after the session's end
  bool half_closed_ = false;  // our side of the connection
  bool tls_wants_write_ = false;
};

}  // namespace orch::bus
