// SPDX-License-Identifier: Apache-2.0
#include "controller/edge/edge_listener.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/v6_only.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/status.h"
#include "bus/stomp/address.h"

namespace orch::controller {

namespace asio = base::asio;
using asio::ip::tcp;

namespace {

// Connections in the kernel's queue, and accepted before others get their turn.
constexpr int kBacklog = 1024;
constexpr int kAcceptedAtOnce = 64;
// A peer that acknowledges nothing for so long is gone (tcp(7), TCP_USER_TIMEOUT), as gRPC has it.
constexpr unsigned kUnacknowledgedMaxMs = 20'000;

// The last number that a new socket may have: the pair that follows has to fit too.
int DescriptorsForConnections() {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  const auto files = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1 << 30));
  return files - std::min(kDescriptorsKept, files / 4) - (kDescriptorsOfConnection - 1);
}

std::string PeerText(const sockaddr_storage& from) {
  char text[INET6_ADDRSTRLEN] = "";
  if (from.ss_family != AF_INET6) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(from);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    return absl::StrCat(text, ":", ntohs(v4.sin_port));
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(from);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, text, sizeof(text));
    return absl::StrCat(text, ":", ntohs(v6.sin6_port));
  }
  inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
  return absl::StrCat("[", text, "]:", ntohs(v6.sin6_port));
}

// Whether it is the connection that failed, not accepting (accept(2)).
bool IsOfThePeer(int error) {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
      return true;
    default:
      return false;
  }
}

boost::system::error_code Listen(const tcp::endpoint& endpoint, tcp::acceptor* port) {
  boost::system::error_code error;
  port->open(endpoint.protocol(), error);
  if (!error) port->set_option(asio::socket_base::reuse_address(true), error);
  if (!error && endpoint.address().is_v6()) {
    port->set_option(asio::ip::v6_only(!endpoint.address().is_unspecified()), error);
  }
  if (!error) port->bind(endpoint, error);
  if (!error) port->listen(kBacklog, error);
  if (!error) port->non_blocking(true, error);
  return error;
}

}  // namespace

absl::StatusOr<std::shared_ptr<EdgeListener>> EdgeListener::Bind(asio::io_context* io,
                                                                 const std::string& listen) {
  std::shared_ptr<EdgeListener> listener(new EdgeListener(io));
  ORCH_RETURN_IF_ERROR(base::Annotate(listener->BindAll(listen), absl::StrCat("listen ", listen)));
  return listener;
}

absl::Status EdgeListener::BindAll(const std::string& listen) {
  ORCH_ASSIGN_OR_RETURN(const bus::Address address, bus::ParseAddress(listen));
  tcp::resolver resolver(strand_);
  boost::system::error_code error;
  const auto found = resolver.resolve(address.host, absl::StrCat(address.port), error);
  if (error) return absl::UnavailableError(error.message());
  for (const auto& entry : found) {
    Port port(strand_);
    const boost::system::error_code failed = Listen(entry.endpoint(), &port);
    // A name may stand for addresses of a kind that this machine does not have.
    if (failed == asio::error::address_family_not_supported ||
        failed == boost::system::errc::address_not_available) {
      error = failed;
      continue;
    }
    if (failed) return absl::UnavailableError(failed.message());
    ports_.push_back(std::move(port));
    if (address.port == 0) break;
  }
  if (ports_.empty()) return absl::UnavailableError(error.message());
  const bool v6 = absl::StrContains(address.host, ":");
  address_ = absl::StrCat(v6 ? "[" : "", address.host, v6 ? "]" : "", ":",
                          ports_.front().local_endpoint().port());
  return absl::OkStatus();
}

void EdgeListener::PostStart(Sink to) {
  asio::post(strand_, [self = shared_from_this(), to = std::move(to)]() mutable {
    self->to_ = std::move(to);
    for (size_t port = 0; port < self->ports_.size(); ++port) self->Wait(port);
  });
}

void EdgeListener::PostStop() {
  asio::post(strand_, [self = shared_from_this()] {
    self->pause_.cancel();
    self->ports_.clear();
    self->to_ = nullptr;
  });
}

void EdgeListener::Wait(size_t port) {
  ports_[port].async_wait(tcp::acceptor::wait_read,
                          [weak = weak_from_this(), port](boost::system::error_code error) {
                            const auto self = weak.lock();
                            if (error || self == nullptr || self->to_ == nullptr) return;
                            self->Accept(port);
                          });
}

void EdgeListener::Accept(size_t port) {
  const int most = DescriptorsForConnections();
  for (int i = 0; i < kAcceptedAtOnce; ++i) {
    sockaddr_storage from{};
    socklen_t size = sizeof(from);
    const int fd = accept4(ports_[port].native_handle(), reinterpret_cast<sockaddr*>(&from), &size,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
    const int error = errno;
    if (fd < 0 && (error == EAGAIN || error == EWOULDBLOCK)) break;
    if (fd < 0 && IsOfThePeer(error)) continue;
    if (fd < 0) return Pause(port, std::strerror(error));
    // The kernel gives the lowest number that is free: all below it are in use.
    if (fd >= most) {
      close(fd);
      return Pause(port, absl::StrCat(fd, " of them are open"));
    }
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUnacknowledgedMaxMs,
               sizeof(kUnacknowledgedMaxMs));
    to_(fd, PeerText(from));
  }
  Wait(port);
}

void EdgeListener::Pause(size_t port, const std::string& why) {
  uint64_t not_logged = 0;
  if (limiter_.Admit("descriptors", base::SystemClock().Read(), &not_logged)) {
    base::LogWarning("no file descriptors for more gRPC connections; accepting pauses",
                     {{"listen", address_}, {"why", why}, {"not_logged", not_logged}});
  }
  // One timer for all: a port that waits already goes on with the other's turn.
  pause_.expires_after(absl::ToChronoNanoseconds(kAcceptPause));
  paused_.insert(port);
  pause_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    const auto self = weak.lock();
    if (error || self == nullptr || self->to_ == nullptr) return;
    for (const size_t paused : std::exchange(self->paused_, {})) self->Wait(paused);
  });
}

}  // namespace orch::controller
