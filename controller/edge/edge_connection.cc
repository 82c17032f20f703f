// SPDX-License-Identifier: Apache-2.0
#include "controller/edge/edge_connection.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/status.h"
#include "bus/stomp/address.h"

// The relay's price is paid for each call: two wake-ups and four system calls more than gRPC alone
// needs, less what gRPC's own TLS cost. So a piece is read into a member, judged where it lies, and
// written from there, and the kernel is tried before it is waited for.

namespace orch::controller {

namespace asio = base::asio;

namespace {

// Of the socket pair, in each direction. A client that does not read makes gRPC wait at this.
constexpr int kPairBytes = 64 << 10;
// Of a client's preface and first frames, until its SETTINGS are complete.
constexpr size_t kOpeningBytesMax = 32 << 10;
// After GOAWAY what still comes is thrown away for so long and so much: closing at once would make
// the kernel send a reset, and the client might lose the frame that explains it.
constexpr absl::Duration kDrainTimeMax = absl::Seconds(1);
constexpr size_t kDrainBytesMax = 256 << 10;

constexpr char kProtocol[] = "h2";

absl::Duration SteadyNow() { return base::SystemClock().Read().steady; }

}  // namespace

void EdgeShared::Log(absl::string_view message, const std::string& peer, absl::string_view why) {
  uint64_t not_logged = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const std::string key = absl::StrCat(message, " ", bus::NetworkOf(peer));
    if (!limiter_.Admit(key, base::SystemClock().Read(), &not_logged)) return;
  }
  base::LogWarning(message, {{"peer", peer}, {"why", why}, {"not_logged", not_logged}});
}

EdgeConnection::EdgeConnection(std::shared_ptr<EdgeShared> shared, base::Strand strand,
                               Socket socket, std::string peer, std::shared_ptr<SSL_CTX> context,
                               Events events)
    : shared_(std::move(shared)),
      strand_(std::move(strand)),
      peer_(std::move(peer)),
      events_(std::move(events)),
      pair_(strand_),
      timer_(strand_),
      armed_(absl::InfiniteDuration()) {
  ++shared_->counts.connections;
  if (context == nullptr) {
    stream_ = bus::NewTcpStream(std::move(socket));
    return;
  }
  std::unique_ptr<bus::ServerStream> tls =
      bus::NewTlsServerStream(std::move(socket), std::move(context));
  tls_ = tls.get();
  stream_ = std::move(tls);
}

EdgeConnection::~EdgeConnection() {
  if (!name_.empty()) shared_->callers.Remove(name_);
  if (party_ != nullptr) {
    if (guard_.has_value()) {
      const std::lock_guard<std::mutex> lock(party_->mutex);
      guard_->Leave(SteadyNow(), &party_->share);
    }
    shared_->callers.Leave(party_);
  }
  --shared_->counts.connections;
}

void EdgeConnection::Start() { asio::co_spawn(strand_, Run(shared_from_this()), asio::detached); }

void EdgeConnection::PostEnd(const char* why) {
  asio::post(strand_, [self = shared_from_this(), why] {
    self->ended_ = why;
    self->Close();
  });
}

base::Awaitable<void> EdgeConnection::Run(std::shared_ptr<EdgeConnection> self) {
  base::Awaitable<Status> serving = self->Serve();
  const Status end = co_await std::move(serving);
  EdgeCounts& counts = self->shared_->counts;
  if (self->fault_.has_value()) {
    ++counts.connections_cut;
    self->shared_->Log("grpc connection cut", self->peer_, self->fault_->why);
    base::Awaitable<std::optional<Status>> parting =
        base::WithDeadline(self->SayGoodbye(), kDrainTimeMax);
    (void)co_await std::move(parting);
  } else if (self->ended_ != nullptr) {
    ++counts.handshakes_given_up;
    self->shared_->Log("grpc handshake given up", self->peer_, self->ended_);
  } else if (absl::IsUnauthenticated(end)) {
    ++counts.handshakes_refused;
    self->shared_->Log("grpc handshake refused", self->peer_, end.message());
  } else if (absl::IsResourceExhausted(end)) {
    ++counts.connections_refused;
    self->shared_->Log("grpc connection refused", self->peer_, end.message());
  }
  self->Opened();
  self->Close();
}

base::Awaitable<absl::Status> EdgeConnection::Serve() {
  if (tls_ != nullptr) {
    base::Awaitable<Status> shaking = Shake();
    const Status shaken = co_await std::move(shaking);
    if (!shaken.ok()) co_return shaken;
  }
  if (Status joined = JoinParty(); !joined.ok()) co_return joined;
  events_.shaken();
  guard_.emplace(SteadyNow());
  base::Awaitable<std::optional<Status>> reading =
      base::WithDeadline(ReadOpening(), Http2Guard::kPrefaceTimeMax);
  const std::optional<Status> read = co_await std::move(reading);
  if (!read.has_value()) co_return Fail(guard_->OnTime(guard_->NextDeadline()));
  if (!read->ok()) co_return *read;
  if (Status made = MakePair(); !made.ok()) co_return made;
  Opened();
  base::Awaitable<Status> writing = WriteToGrpc(opening_);
  const Status written = co_await std::move(writing);
  if (!written.ok()) co_return written;
  opening_ = std::string();
  using asio::experimental::awaitable_operators::operator||;
  base::Awaitable<std::variant<Status, Status, Status>> relaying =
      (RelayIn() || RelayOut() || WatchDeadlines());
  const std::variant<Status, Status, Status> ended = co_await std::move(relaying);
  co_return std::visit([](const Status& status) { return status; }, ended);
}

base::Awaitable<absl::Status> EdgeConnection::Shake() {
  base::Awaitable<Status> shaking = tls_->Handshake();
  const Status shaken = co_await std::move(shaking);
  if (!shaken.ok()) co_return shaken;
  if (tls_->protocol() != kProtocol) {
    co_return absl::UnavailableError("TLS handshake: the client does not offer the protocol h2");
  }
  co_return absl::OkStatus();
}

absl::Status EdgeConnection::JoinParty() {
  std::string key;
  if (tls_ != nullptr) {
    const std::optional<trust::Peer> peer = tls_->certificate();
    if (!peer.has_value()) return absl::UnauthenticatedError("the peer showed no certificate");
    key = peer->key_id;
  }
  party_ = shared_->callers.Join(key, shared_->connections_of_party_max);
  if (party_ != nullptr) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("its caller has ", shared_->connections_of_party_max, " connections"));
}

base::Awaitable<absl::Status> EdgeConnection::ReadOpening() {
  while (!guard_->opened()) {
    if (opening_.size() > kOpeningBytesMax) {
      co_return Fail(Http2Fault{Http2Code::kEnhanceYourCalm, "too much before SETTINGS"});
    }
    base::Awaitable<absl::StatusOr<size_t>> reading = stream_->Read(in_.data(), in_.size());
    const absl::StatusOr<size_t> read = co_await std::move(reading);
    if (!read.ok()) co_return read.status();
    if (Status judged = Judge(*read, /*of_client=*/true); !judged.ok()) co_return judged;
    opening_.append(in_.data(), *read);
  }
  co_return absl::OkStatus();
}

absl::Status EdgeConnection::MakePair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
    return absl::ResourceExhaustedError(absl::StrCat("socketpair: ", std::strerror(errno)));
  }
  boost::system::error_code error;
  pair_.assign(asio::local::stream_protocol(), ends[0], error);
  for (const int end : ends) {
    setsockopt(end, SOL_SOCKET, SO_SNDBUF, &kPairBytes, sizeof(kPairBytes));
  }
  // An abstract name (unix(7)) begins with a zero byte; gRPC reads it with getpeername(2).
  const std::string name = EdgeCallers::NewName();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (error || bind(ends[0], reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    close(ends[1]);
    return absl::ResourceExhaustedError(absl::StrCat("bind ", name, ": ", std::strerror(errno)));
  }
  pair_.non_blocking(true, error);
  name_ = name;
  shared_->callers.Add(name, {.certificate_pem = tls_ != nullptr ? tls_->certificate_pem() : "",
                              .peer = peer_,
                              .party = party_});
  shared_->to_grpc(ends[1]);
  return absl::OkStatus();
}

base::Awaitable<absl::Status> EdgeConnection::RelayIn() {
  for (;;) {
    base::Awaitable<absl::StatusOr<size_t>> reading = stream_->Read(in_.data(), in_.size());
    const absl::StatusOr<size_t> read = co_await std::move(reading);
    if (!read.ok()) co_return read.status();
    if (Status judged = Judge(*read, /*of_client=*/true); !judged.ok()) co_return judged;
    base::Awaitable<Status> writing = WriteToGrpc({in_.data(), *read});
    const Status written = co_await std::move(writing);
    if (!written.ok()) co_return written;
  }
}

base::Awaitable<absl::Status> EdgeConnection::RelayOut() {
  std::vector<asio::const_buffer> piece(1);
  for (;;) {
    std::tuple<boost::system::error_code, size_t> read =
        co_await pair_.async_read_some(asio::buffer(out_), base::kTuple);
    if (std::get<0>(read)) co_return absl::UnavailableError("gRPC has closed it");
    const size_t size = std::get<1>(read);
    if (Status judged = Judge(size, /*of_client=*/false); !judged.ok()) co_return judged;
    piece[0] = asio::buffer(out_.data(), size);
    writing_out_ = true;
    base::Awaitable<Status> writing = stream_->Write(piece);
    const Status written = co_await std::move(writing);
    if (!written.ok()) co_return written;
    writing_out_ = false;
  }
}

base::Awaitable<absl::Status> EdgeConnection::WatchDeadlines() {
  for (;;) {
    armed_ = guard_->NextDeadline();
    const absl::Duration left = std::min<absl::Duration>(armed_ - SteadyNow(), absl::Hours(24));
    timer_.expires_after(absl::ToChronoNanoseconds(std::max(left, absl::ZeroDuration())));
    // An error means that armed_ has changed, or that the connection ends.
    (void)co_await timer_.async_wait(base::kTuple);
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      co_return absl::CancelledError("the connection has ended");
    }
    if (Status judged = Fail(guard_->OnTime(SteadyNow())); !judged.ok()) co_return judged;
  }
}

base::Awaitable<absl::Status> EdgeConnection::WriteToGrpc(absl::string_view bytes) {
  boost::system::error_code error;
  const size_t done = pair_.write_some(asio::buffer(bytes.data(), bytes.size()), error);
  if (error && error != asio::error::would_block) {
    co_return absl::UnavailableError("gRPC has closed it");
  }
  if (!error && done == bytes.size()) co_return absl::OkStatus();
  if (!error) bytes.remove_prefix(done);
  std::tuple<boost::system::error_code, size_t> written =
      co_await asio::async_write(pair_, asio::buffer(bytes.data(), bytes.size()), base::kTuple);
  if (std::get<0>(written)) co_return absl::UnavailableError("gRPC has closed it");
  co_return absl::OkStatus();
}

base::Awaitable<absl::Status> EdgeConnection::SayGoodbye() {
  const std::string goodbye = guard_->GoAway(*fault_);
  boost::system::error_code ignored;
  // gRPC's calls end now, not after what follows.
  pair_.close(ignored);
  // In the middle of a record or a frame nothing else can be said.
  if (goodbye.empty() || writing_out_) co_return absl::OkStatus();
  const std::vector<asio::const_buffer> piece = {asio::buffer(goodbye)};
  base::Awaitable<Status> writing = stream_->Write(piece);
  const Status written = co_await std::move(writing);
  if (!written.ok()) co_return written;
  base::Awaitable<Status> draining = Drain();
  const Status drained = co_await std::move(draining);
  co_return drained;
}

base::Awaitable<absl::Status> EdgeConnection::Drain() {
  for (size_t size = 0; size < kDrainBytesMax;) {
    base::Awaitable<absl::StatusOr<size_t>> reading = stream_->Read(in_.data(), in_.size());
    const absl::StatusOr<size_t> read = co_await std::move(reading);
    if (!read.ok()) co_return read.status();
    size += *read;
  }
  co_return absl::OkStatus();
}

absl::Status EdgeConnection::Judge(size_t read, bool of_client) {
  std::optional<Http2Fault> fault;
  {
    const std::lock_guard<std::mutex> lock(party_->mutex);
    Http2Share* const share = &party_->share;
    fault = of_client ? guard_->OnClientBytes({in_.data(), read}, SteadyNow(), share)
                      : guard_->OnServerBytes({out_.data(), read}, SteadyNow(), share);
  }
  if (guard_->NextDeadline() != armed_) timer_.cancel();
  return Fail(fault);
}

absl::Status EdgeConnection::Fail(std::optional<Http2Fault> fault) {
  if (!fault.has_value()) return absl::OkStatus();
  fault_ = fault;
  return absl::AbortedError(fault->why);
}

void EdgeConnection::Opened() {
  if (events_.opened != nullptr) std::exchange(events_.opened, nullptr)();
}

void EdgeConnection::Close() {
  boost::system::error_code ignored;
  pair_.close(ignored);
  stream_->Close();
  timer_.cancel();
}

}  // namespace orch::controller
