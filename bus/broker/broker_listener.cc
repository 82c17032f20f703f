// SPDX-License-Identifier: Apache-2.0

// Before its handshake is over nobody knows who a peer is, so what strangers can hold is bounded:
// kHandshakesMax handshakes, each for kHandshakeTimeMax. A plain limit would be a way to keep a
// fleet out (open 512 connections, say nothing), and refusing what is over the limit would send ten
// thousand returning nodes away to come back later. So the listener stops accepting, leaves the
// others in the kernel's queue, and meanwhile gives up those handshakes alone whose peer is silent.
// Everything that the hub may call later goes through self_, which is null once the listener is
// gone.

#include "bus/broker/broker_listener.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "bus/stomp/address.h"
#include "bus/stream/socket_stream.h"

namespace orch::bus {
namespace {

// Connections taken from the kernel's queue in one go.
constexpr int kAcceptTurn = 64;
// Without descriptors, before the next try.
constexpr absl::Duration kPause = absl::Milliseconds(200);
// While accepting pauses: how often slow peers are looked for.
constexpr absl::Duration kSilenceCheck = absl::Milliseconds(100);
// The server's own certificate is looked at again after this.
constexpr absl::Duration kContextAgeMax = absl::Seconds(10);

std::string AddressText(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
    return absl::StrCat("[", text, "]:", ntohs(v6.sin6_port));
  }
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
  inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
  return absl::StrCat(text, ":", ntohs(v4.sin_port));
}

bool IsLoopbackAddress(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
  return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

absl::StatusOr<AddressList> Resolve(const std::string& address) {
  ORCH_ASSIGN_OR_RETURN(const Address parsed, ParseAddress(address));
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(parsed.host.c_str(), std::to_string(parsed.port).c_str(), &hints, &found);
  if (error != 0) return absl::UnavailableError(gai_strerror(error));
  return AddressList(found, freeaddrinfo);
}

void SetOptions(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  // Peers that agreed on no heart-beats and vanish are noticed after two minutes.
  const int idle_s = 60;
  const int interval_s = 20;
  const int probes = 3;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

absl::Status BindAndListen(int fd, const addrinfo& to) {
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd, to.ai_addr, to.ai_addrlen) != 0 || listen(fd, BrokerListener::kBacklog) != 0) {
    const int error = errno;
    if (error == EACCES) return absl::PermissionDeniedError(std::strerror(error));
    return absl::UnavailableError(std::strerror(error));
  }
  return absl::OkStatus();
}

}  // namespace

size_t RaiseFileLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

absl::StatusOr<std::unique_ptr<BrokerListener>> BrokerListener::Make(
    BrokerHub* hub, const std::string& address, std::shared_ptr<trust::Credentials> credentials) {
  const std::string what = absl::StrCat("listen on ", address);
  const bool plain = credentials == nullptr;
  absl::StatusOr<AddressList> found = Resolve(address);
  if (!found.ok()) return base::Annotate(found.status(), what);
  const addrinfo& to = **found;
  if (plain && !IsLoopbackAddress(to.ai_addr)) {
    return absl::FailedPreconditionError(
        absl::StrCat(what, ": insecure_loopback is for loopback addresses only"));
  }
  const int fd = socket(to.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::UnavailableError(absl::StrCat(what, ": ", std::strerror(errno)));
  std::unique_ptr<BrokerListener> listener(new BrokerListener(hub, fd, std::move(credentials)));
  ORCH_RETURN_IF_ERROR(base::Annotate(BindAndListen(fd, to), what));
  if (!plain) {
    ORCH_RETURN_IF_ERROR(base::Annotate(listener->RenewContext(), what));
    // OpenSSL writes with write(2), to sockets that the peer may have closed.
    std::signal(SIGPIPE, SIG_IGN);
  }
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size);
  listener->address_ = AddressText(bound);
  if (!hub->poller().Add(fd, EPOLLIN, listener.get())) {
    return absl::UnavailableError(absl::StrCat(what, ": epoll: ", std::strerror(errno)));
  }
  return listener;
}

BrokerListener::~BrokerListener() {
  *self_ = nullptr;
  hub_->poller().Remove(fd_, this);
  close(fd_);
}

void BrokerListener::OnEvents(uint32_t) {
  for (int i = 0; i < kAcceptTurn && !paused_; ++i) {
    sockaddr_storage from{};
    socklen_t size = sizeof(from);
    const int fd =
        accept4(fd_, reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EAGAIN) return;
      if (errno == ECONNABORTED || errno == EINTR) continue;
      if ((errno == EMFILE || errno == ENFILE) && GiveUpSlow()) continue;
      hub_->LogRefusal(address_, absl::StrCat("accept: ", std::strerror(errno)));
      Pause();
      hub_->WakeAt(hub_->Now().steady + kPause, [self = self_] {
        if (*self != nullptr) (*self)->Resume();
      });
      return;
    }
    SetOptions(fd);
    Accept(fd, AddressText(from));
  }
}

void BrokerListener::Accept(int fd, std::string where) {
  if (credentials_ != nullptr) {
    AcceptTls(fd, std::move(where));
    return;
  }
  if (!SocketLink::Start(hub_, fd, where, {BrokerPeer::Kind::kAnyone, ""})) {
    hub_->LogRefusal(where, "over the limit of connections (connections)");
  }
}

void BrokerListener::AcceptTls(int fd, std::string where) {
  if (const absl::Status status = RenewContext(); !status.ok()) {
    hub_->LogRefusal(address_, absl::StrCat("new TLS context: ", status.message()));
  }
  const absl::Duration deadline = hub_->Now().steady + kHandshakeTimeMax;
  const auto pending = pending_.insert(pending_.end(), {deadline, nullptr, NetworkOf(where)});
  ++networks_[pending->network];
  pending->link =
      SocketLink::StartTls(hub_, fd, std::move(where), context_.get(), [self = self_, pending] {
        if (*self != nullptr) (*self)->EndHandshake(pending);
      });
  if (pending->link == nullptr) {
    EndHandshake(pending);
    return;
  }
  if (pending_.size() >= kHandshakesMax && !GiveUpSlow()) Pause();
  CheckHandshakes();
}

absl::Status BrokerListener::RenewContext() {
  const absl::Duration now = hub_->Now().steady;
  if (now - context_made_ < kContextAgeMax) return absl::OkStatus();
  // After a failure the old one serves on, and is not tried again at each connection.
  context_made_ = now;
  ORCH_ASSIGN_OR_RETURN(SSL_CTX * context, credentials_->NewServerContext(
                                               {trust::Role::kNode, trust::Role::kController}));
  context_ = OwnContext(context);
  return absl::OkStatus();
}

void BrokerListener::EndHandshake(std::list<Pending>::iterator pending) {
  const auto network = networks_.find(pending->network);
  if (--network->second == 0) networks_.erase(network);
  pending_.erase(pending);
  if (paused_ && pending_.size() < kHandshakesMax / 2) Resume();
}

bool BrokerListener::GiveUpSlow() {
  const size_t before = pending_.size();
  for (auto each = pending_.begin(); each != pending_.end();) {
    const bool greedy = networks_[each->network] > kHandshakesOfAddressMax;
    SocketLink* link = (each++)->link;
    const SocketLink::Patience patience = {.begin = greedy ? kGreedyBeginTime : kBeginTime,
                                           .hello = kHelloTime,
                                           .answer = greedy ? kGreedyAnswerTime : kAnswerTime};
    if (!link->PeerIsSlow(patience)) continue;
    // Takes itself out of the list.
    link->GiveHandshakeUp("the peer is slow, and others wait");
  }
  return pending_.size() < before;
}

void BrokerListener::CheckHandshakes() {
  const absl::Duration now = hub_->Now().steady;
  // Ends the link, which takes itself out of the list.
  while (!pending_.empty() && pending_.front().deadline <= now) {
    pending_.front().link->GiveHandshakeUp("not complete in time");
  }
  if (paused_) GiveUpSlow();
  if (pending_.empty()) return;
  const absl::Duration next = paused_ ? std::min(pending_.front().deadline, now + kSilenceCheck)
                                      : pending_.front().deadline;
  if (next >= watch_at_) return;
  watch_at_ = next;
  hub_->WakeAt(next, [self = self_, next] {
    if (*self == nullptr) return;
    if ((*self)->watch_at_ == next) (*self)->watch_at_ = absl::InfiniteDuration();
    (*self)->CheckHandshakes();
  });
}

void BrokerListener::Pause() {
  if (paused_) return;
  paused_ = true;
  hub_->poller().Change(fd_, 0, this);
}

void BrokerListener::Resume() {
  if (!paused_) return;
  paused_ = false;
  hub_->poller().Change(fd_, EPOLLIN, this);
}

}  // namespace orch::bus
