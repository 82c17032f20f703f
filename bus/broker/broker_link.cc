// SPDX-License-Identifier: Apache-2.0

// A broker holds ten thousand connections that are idle nearly always, so a connection owns no
// buffer: it reads into the hub's one buffer and writes straight from the session's outbox. That
// works because a read is handed to the core before the next one begins, and because OpenSSL is
// told (SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER) that a repeated write may come from another address. A
// link never deletes itself: Close only buries it, because the hub, the poller or the core may
// still be within one of its calls. It does not simply close after an ERROR either: close(2) with
// unread input sends a reset, and the peer would lose the ERROR that explains the end.

#include "bus/broker/broker_link.h"

#include <openssl/err.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bus/routing/broker_limits.h"
#include "trust/tls.h"

namespace orch::bus {
namespace {

// Stretches of a gather write (IOV_MAX is 1024).
constexpr size_t kGatherMax = 256;
// What one connection may write before the others have their turn.
constexpr size_t kWriteTurnBytes = 1 << 20;
// What is read and thrown away while the last frames go out. Closing with unread input would make
// the kernel send a reset, and the peer might lose the ERROR that explains it.
constexpr size_t kDiscardedMax = 1 << 20;
// Turns of one handshake. A client's longest messages, its chain of 64 KiB, come in some fifty
// pieces over Ethernet; who needs more sends single bytes, each of which costs everybody a turn.
constexpr int kHandshakeStepsMax = 100;
// The most that goes into one TLS record.
constexpr size_t kTlsRecordBytes = 16 << 10;

std::string TlsError() {
  const unsigned long code = ERR_peek_error();
  if (code == 0) return "the peer closed the connection";
  char text[256];
  ERR_error_string_n(code, text, sizeof(text));
  return text;
}

}  // namespace

bool SocketLink::Start(BrokerHub* hub, int fd, std::string where, BrokerPeer peer) {
  std::unique_ptr<SocketLink> link(new SocketLink(hub, fd, std::move(where)));
  link->WatchFor(EPOLLIN);
  if (link->watched_ == 0 || !link->OpenSession(std::move(peer))) return false;
  hub->Keep(std::move(link));
  return true;
}

SocketLink* SocketLink::StartTls(BrokerHub* hub, int fd, std::string where, SSL_CTX* context,
                                 std::function<void()> ended) {
  std::unique_ptr<SocketLink> link(new SocketLink(hub, fd, std::move(where)));
  link->tls_ = SSL_new(context);
  link->WatchFor(EPOLLIN);
  if (link->tls_ == nullptr || link->watched_ == 0 || SSL_set_fd(link->tls_, fd) != 1) {
    return nullptr;
  }
  SSL_set_accept_state(link->tls_);
  SSL_set_mode(link->tls_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  link->on_handshake_end_ = std::move(ended);
  SocketLink* out = link.get();
  hub->Keep(std::move(link));
  return out;
}

SocketLink::~SocketLink() {
  if (fd_ >= 0) {
    hub_->poller().Remove(fd_, this);
    close(fd_);
  }
  SSL_free(tls_);
}

void SocketLink::WatchFor(uint32_t events) {
  if (events == watched_) return;
  if (watched_ != 0) {
    hub_->poller().Change(fd_, events, this);
    watched_ = events;
  } else if (hub_->poller().Add(fd_, events, this)) {
    watched_ = events;
  }
}

bool SocketLink::OpenSession(BrokerPeer peer) {
  session_ = hub_->core().Open(std::move(peer), where_, this, hub_->Now());
  return session_ != nullptr;
}

void SocketLink::Close() {
  if (fd_ < 0) return;
  hub_->poller().Remove(fd_, this);
  close(fd_);
  fd_ = -1;
  EndHandshake();
  if (session_ != nullptr) hub_->core().Close(std::exchange(session_, nullptr), hub_->Now());
  hub_->Bury(this);
}

void SocketLink::EndHandshake() {
  if (on_handshake_end_ != nullptr) std::exchange(on_handshake_end_, nullptr)();
}

void SocketLink::OnEvents(uint32_t events) {
  if (session_ == nullptr) {
    Handshake();
    return;
  }
  if ((events & EPOLLOUT) != 0 && !Write()) return;
  if ((events & ~uint32_t{EPOLLOUT}) != 0 || tls_wants_write_) Read();
}

void SocketLink::Handshake() {
  if (!hub_->TakeHandshakeStep()) return;
  if (++handshake_steps_ > kHandshakeStepsMax) {
    GiveHandshakeUp("it comes in drops");
    return;
  }
  ERR_clear_error();
  const int returned = SSL_do_handshake(tls_);
  if (!answered_ && BIO_number_written(SSL_get_wbio(tls_)) > 0) {
    answered_ = true;
    stage_began_ = hub_->Now().steady;
  }
  if (returned == 1) {
    absl::StatusOr<trust::Peer> peer = trust::PeerOf(tls_);
    EndHandshake();
    if (!peer.ok()) {
      hub_->RefuseHandshake(where_, std::string(peer.status().message()));
      Close();
      return;
    }
    WatchFor(EPOLLIN);
    if (!OpenSession(PeerFrom(*peer))) {
      hub_->LogRefusal(where_, absl::StrCat("over the limit of connections (connections, or ",
                                            2 * kConnectionsOfNodeMax, " of one node, ",
                                            peer->common_name, ")"));
      Close();
    }
    return;
  }
  const int why = SSL_get_error(tls_, returned);
  if (why == SSL_ERROR_WANT_READ) {
    WatchFor(EPOLLIN);
  } else if (why == SSL_ERROR_WANT_WRITE) {
    WatchFor(EPOLLOUT);
  } else {
    // What trust said of the certificate explains more than OpenSSL's code.
    const absl::StatusOr<trust::Peer> peer = trust::PeerOf(tls_);
    const std::string text = peer.ok() || absl::StrContains(peer.status().message(), "showed no")
                                 ? TlsError()
                                 : std::string(peer.status().message());
    hub_->RefuseHandshake(where_, text);
    Close();
  }
}

void SocketLink::GiveHandshakeUp(absl::string_view why) {
  hub_->RefuseHandshake(where_, std::string(why));
  Close();
}

bool SocketLink::PeerIsSlow(const Patience& patience) const {
  const bool began = BIO_number_read(SSL_get_rbio(tls_)) > 0;
  const absl::Duration limit = answered_ ? patience.answer
                               : began   ? patience.hello
                                         : patience.begin;
  if (hub_->Now().steady - stage_began_ < limit) return false;
  int unread = 0;
  return ioctl(fd_, FIONREAD, &unread) == 0 && unread == 0;
}

void SocketLink::JudgeAgain() {
  if (session_ == nullptr || tls_ == nullptr) return;
  const base::Now now = hub_->Now();
  if (const absl::Status status = trust::JudgeAgain(tls_, now.wall); !status.ok()) {
    hub_->core().Evict(session_, absl::PermissionDeniedError(status.message()), now);
  }
}

SocketLink::Result SocketLink::FromTls(int returned) {
  const int why = SSL_get_error(tls_, returned);
  tls_wants_write_ = why == SSL_ERROR_WANT_WRITE;
  return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? Result::kBlocked
                                                                   : Result::kClosed;
}

SocketLink::Result SocketLink::ReadSome(size_t* size) {
  if (tls_ != nullptr) {
    ERR_clear_error();
    // One whole record at most, so nothing stays within OpenSSL that epoll would not tell of.
    const int got = SSL_read(tls_, hub_->buffer(), static_cast<int>(BrokerHub::kBufferBytes));
    if (got <= 0) return FromTls(got);
    *size = static_cast<size_t>(got);
    return Result::kDone;
  }
  const ssize_t got = recv(fd_, hub_->buffer(), BrokerHub::kBufferBytes, MSG_DONTWAIT);
  if (got > 0) {
    *size = static_cast<size_t>(got);
    return Result::kDone;
  }
  const bool again = got < 0 && (errno == EAGAIN || errno == EINTR);
  return again ? Result::kBlocked : Result::kClosed;
}

void SocketLink::Read() {
  size_t size = 0;
  switch (ReadSome(&size)) {
    case Result::kBlocked:
      if (tls_wants_write_) WatchFor(EPOLLIN | EPOLLOUT);
      return;
    case Result::kClosed:
      // It may have closed its side only, and still read what it asked for.
      if (!half_closed_ && !Write()) return;
      Close();
      return;
    case Result::kDone:
      break;
  }
  if (session_->state != BrokerSession::State::kEnded) {
    hub_->core().OnBytes(session_, absl::string_view(hub_->buffer(), size), hub_->Now());
    return;
  }
  discarded_ += size;
  if (discarded_ > kDiscardedMax) Close();
}

SocketLink::Result SocketLink::WriteSome(size_t* written) {
  absl::string_view parts[kGatherMax];
  if (tls_ != nullptr) {
    const size_t count = session_->outbox.Gather(parts, kGatherMax);
    size_t size = 0;
    for (size_t i = 0; i < count && size < kTlsRecordBytes; ++i) {
      const size_t fits = std::min(parts[i].size(), kTlsRecordBytes - size);
      std::memcpy(hub_->buffer() + size, parts[i].data(), fits);
      size += fits;
    }
    ERR_clear_error();
    // After "try again" OpenSSL wants the same bytes again: the outbox still begins with them.
    const int sent = SSL_write(tls_, hub_->buffer(), static_cast<int>(size));
    if (sent <= 0) return FromTls(sent);
    *written = static_cast<size_t>(sent);
    return Result::kDone;
  }
  iovec vectors[kGatherMax];
  const size_t count = session_->outbox.Gather(parts, kGatherMax);
  for (size_t i = 0; i < count; ++i) {
    vectors[i] = {const_cast<char*>(parts[i].data()), parts[i].size()};
  }
  msghdr message{};
  message.msg_iov = vectors;
  message.msg_iovlen = count;
  const ssize_t sent = sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent >= 0) {
    *written = static_cast<size_t>(sent);
    return Result::kDone;
  }
  return errno == EAGAIN || errno == EINTR ? Result::kBlocked : Result::kClosed;
}

bool SocketLink::Write() {
  size_t turn = 0;
  while (!session_->outbox.empty() && turn < kWriteTurnBytes) {
    size_t written = 0;
    const Result result = WriteSome(&written);
    if (result == Result::kClosed) {
      Close();
      return false;
    }
    hub_->core().OnWritten(session_, written, hub_->Now());
    turn += written;
    if (result == Result::kBlocked) break;
  }
  WatchFor(session_->outbox.empty() ? uint32_t{EPOLLIN} : uint32_t{EPOLLIN | EPOLLOUT});
  if (session_->state == BrokerSession::State::kEnded && session_->outbox.empty()) FinishEnded();
  return true;
}

void SocketLink::FinishEnded() {
  if (half_closed_) return;
  half_closed_ = true;
  if (tls_ != nullptr) {
    ERR_clear_error();
    SSL_shutdown(tls_);
  }
  // The peer's own end, or kEndTimeMax, closes it.
  shutdown(fd_, SHUT_WR);
}

void SocketLink::OnReady() {
  if (session_ == nullptr) return;
  if (session_->overdue) {
    Close();
    return;
  }
  // Already waiting for the socket to take more.
  if ((watched_ & EPOLLOUT) != 0 && !session_->outbox.empty()) return;
  Write();
}

}  // namespace orch::bus
