// SPDX-License-Identifier: Apache-2.0
#include "controller/edge/edge.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "base/clock.h"
#include "base/status.h"
#include "bus/stomp/address.h"

namespace orch::controller {

namespace asio = base::asio;

namespace {

// One caller's connections take at most this part of the descriptors, and handshakes this one.
constexpr size_t kPartOfParty = 4;
constexpr size_t kPartOfHandshakes = 3;

size_t Descriptors() {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  return std::min<rlim_t>(limit.rlim_cur, 1 << 30);
}

size_t ConnectionsOfPartyMax() {
  const size_t part = Descriptors() / kDescriptorsOfConnection / kPartOfParty;
  return std::min(EdgeCallers::kConnectionsOfPartyMax, std::max<size_t>(part, 1));
}

absl::StatusOr<std::shared_ptr<SSL_CTX>> NewContext(const trust::Credentials& credentials,
                                                    const std::vector<trust::Role>& roles) {
  ORCH_ASSIGN_OR_RETURN(SSL_CTX * made, credentials.NewServerContext(roles));
  std::shared_ptr<SSL_CTX> context = bus::OwnContext(made);
  bus::RequireProtocol(context.get(), "h2");
  return context;
}

}  // namespace

Edge::Edge(asio::io_context* io, std::shared_ptr<trust::Credentials> credentials,
           std::vector<trust::Role> roles)
    : io_(io),
      strand_(io->get_executor()),
      credentials_(std::move(credentials)),
      roles_(std::move(roles)),
      shares_({.all = std::min(kHandshakesMax, Descriptors() / kPartOfHandshakes),
               .of_address = kHandshakesOfAddressMax,
               .grace = kHandshakeGrace,
               .time = kHandshakeTimeMax,
               .silent_time = kSilentTimeMax}),
      timer_(strand_) {
  shared_->connections_of_party_max = ConnectionsOfPartyMax();
}

absl::StatusOr<std::shared_ptr<Edge>> Edge::Bind(asio::io_context* io, const std::string& listen,
                                                 std::shared_ptr<trust::Credentials> credentials,
                                                 std::vector<trust::Role> roles) {
  std::shared_ptr<Edge> edge(new Edge(io, std::move(credentials), std::move(roles)));
  if (edge->credentials_ != nullptr) {
    ORCH_ASSIGN_OR_RETURN(edge->context_, NewContext(*edge->credentials_, edge->roles_));
  }
  ORCH_ASSIGN_OR_RETURN(edge->listener_, EdgeListener::Bind(io, listen));
  return edge;
}

void Edge::PostStart(std::function<void(int fd)> to_grpc) {
  shared_->to_grpc = std::move(to_grpc);
  listener_->PostStart([weak = weak_from_this()](int fd, std::string peer) {
    const auto self = weak.lock();
    if (self == nullptr) {
      close(fd);
      return;
    }
    asio::post(self->strand_, [self, fd, peer = std::move(peer)] { self->Accept(fd, peer); });
  });
}

void Edge::PostStop() {
  listener_->PostStop();
  asio::post(strand_, [self = shared_from_this()] {
    const auto ending = std::exchange(self->handshakes_, {});
    for (const auto& [id, weak] : ending) {
      self->shares_.Remove(id);
      if (const auto connection = weak.lock()) connection->PostEnd("the controller is stopping");
    }
    self->timer_.cancel();
  });
}

absl::Status Edge::UpdateCertificates() {
  if (credentials_ == nullptr) return absl::OkStatus();
  ORCH_ASSIGN_OR_RETURN(std::shared_ptr<SSL_CTX> context, NewContext(*credentials_, roles_));
  asio::post(strand_, [self = shared_from_this(), context = std::move(context)] {
    self->context_ = context;
  });
  return absl::OkStatus();
}

void Edge::Accept(int fd, std::string peer) {
  const base::Strand strand(io_->get_executor());
  EdgeConnection::Socket socket(strand);
  boost::system::error_code error;
  const auto family = absl::StartsWith(peer, "[") ? asio::ip::tcp::v6() : asio::ip::tcp::v4();
  socket.assign(family, fd, error);
  if (error) {
    close(fd);
    return;
  }
  const auto [id, victim] = shares_.Add(bus::NetworkOf(peer), base::SystemClock().Read().steady);
  EdgeConnection::Events events;
  events.shaken = [weak = weak_from_this(), id = id] {
    if (const auto self = weak.lock()) self->PostProgress(id, false);
  };
  events.opened = [weak = weak_from_this(), id = id] {
    if (const auto self = weak.lock()) self->PostProgress(id, true);
  };
  const auto connection = std::make_shared<EdgeConnection>(
      shared_, strand, std::move(socket), std::move(peer), context_, std::move(events));
  handshakes_[id] = connection;
  if (victim.has_value()) End(*victim, "too many handshakes, and it progresses least");
  connection->Start();
  CheckHandshakes();
}

void Edge::PostProgress(Id id, bool over) {
  asio::post(strand_, [self = shared_from_this(), id, over] {
    if (!over) {
      self->shares_.OnProgress(id);
      return;
    }
    self->shares_.Remove(id);
    self->handshakes_.erase(id);
  });
}

void Edge::End(Id id, const char* why) {
  shares_.Remove(id);
  const auto found = handshakes_.find(id);
  if (found == handshakes_.end()) return;
  if (const auto connection = found->second.lock()) connection->PostEnd(why);
  handshakes_.erase(found);
}

void Edge::CheckHandshakes() {
  const absl::Duration now = base::SystemClock().Read().steady;
  for (const Id id : shares_.Overdue(now)) End(id, "not complete in time");
  const absl::Duration next = shares_.NextDeadline();
  if (next == absl::InfiniteDuration() || (next >= armed_ && armed_ > now)) return;
  armed_ = next;
  timer_.expires_after(absl::ToChronoNanoseconds(next - now));
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    const auto self = weak.lock();
    if (error || self == nullptr) return;
    self->armed_ = absl::InfiniteDuration();
    self->CheckHandshakes();
  });
}

}  // namespace orch::controller
