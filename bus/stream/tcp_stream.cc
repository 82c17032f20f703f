// SPDX-License-Identifier: Apache-2.0
#include <netinet/tcp.h>

#include <boost/asio/write.hpp>

#include "absl/strings/str_cat.h"
#include "base/asio.h"
#include "bus/stream/socket_stream.h"

namespace orch::bus {
namespace {

using boost::asio::ip::tcp;

// A name may have several addresses, and behind the first may be nobody (IPv6 that leads nowhere):
// together they get so long, each at least a second.
constexpr absl::Duration kAddressesMax = absl::Seconds(9);
constexpr absl::Duration kAddressMin = absl::Seconds(1);

// Completes when: connected. Errors: Unavailable, without a prefix. Cancellation: total. Runs on:
// `strand`.
base::Awaitable<absl::StatusOr<tcp::socket>> ConnectTo(base::Strand strand,
                                                       tcp::endpoint endpoint) {
  tcp::socket socket(strand);
  std::tuple<boost::system::error_code> result =
      co_await socket.async_connect(endpoint, base::kTuple);
  if (std::get<0>(result)) co_return absl::UnavailableError(std::get<0>(result).message());
  // While nobody listens on a port of the ephemeral range, the kernel may give a client this very
  // port for its own end, and TCP's simultaneous open connects it with itself (RFC 9293, 3.5).
  boost::system::error_code error;
  if (socket.local_endpoint(error) == socket.remote_endpoint(error)) {
    co_return absl::UnavailableError("nobody listens: connected with itself");
  }
  co_return std::move(socket);
}

using KeepAliveTime = boost::asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPIDLE>;
using KeepAliveInterval = boost::asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPINTVL>;
using KeepAliveCount = boost::asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPCNT>;

// Lives on: its socket's strand.
class TcpStream : public Stream {
 public:
  explicit TcpStream(tcp::socket socket)
      : socket_(std::move(socket)), peer_(SetUpSocket(&socket_)) {}

  base::Awaitable<absl::StatusOr<size_t>> Read(char* data, size_t size) override {
    std::tuple<boost::system::error_code, size_t> result =
        co_await socket_.async_read_some(boost::asio::buffer(data, size), base::kTuple);
    const boost::system::error_code error = std::get<0>(result);
    if (error == boost::asio::error::eof) co_return absl::OutOfRangeError("closed by the peer");
    if (error) co_return SocketError("read", error);
    co_return std::get<1>(result);
  }

  base::Awaitable<absl::Status> Write(
      const std::vector<boost::asio::const_buffer>& buffers) override {
    // What the kernel takes at once needs no way through the reactor; that is nearly everything.
    boost::system::error_code error;
    size_t done = socket_.write_some(buffers, error);
    if (error && error != boost::asio::error::would_block) co_return SocketError("write", error);
    if (error) done = 0;
    std::vector<boost::asio::const_buffer> rest;
    for (const boost::asio::const_buffer& buffer : buffers) {
      const size_t skip = std::min(done, buffer.size());
      done -= skip;
      if (skip < buffer.size()) rest.push_back(buffer + skip);
    }
    if (rest.empty()) co_return absl::OkStatus();
    std::tuple<boost::system::error_code, size_t> result =
        co_await boost::asio::async_write(socket_, rest, base::kTuple);
    if (std::get<0>(result)) co_return SocketError("write", std::get<0>(result));
    co_return absl::OkStatus();
  }

  void Close() override {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

  std::string peer() const override { return peer_; }
  std::optional<trust::Peer> certificate() const override { return std::nullopt; }

 private:
  tcp::socket socket_;
  const std::string peer_;
};

}  // namespace

std::string SetUpSocket(tcp::socket* socket) {
  boost::system::error_code ignored;
  socket->set_option(tcp::no_delay(true), ignored);
  // A peer that promised no heart-beats and vanishes is noticed after two minutes.
  socket->set_option(boost::asio::socket_base::keep_alive(true), ignored);
  socket->set_option(KeepAliveTime(60), ignored);
  socket->set_option(KeepAliveInterval(20), ignored);
  socket->set_option(KeepAliveCount(3), ignored);
  socket->non_blocking(true, ignored);
  boost::system::error_code error;
  const tcp::endpoint peer = socket->remote_endpoint(error);
  if (error) return "unknown";
  const std::string host = peer.address().to_string();
  return peer.address().is_v6() ? absl::StrCat("[", host, "]:", peer.port())
                                : absl::StrCat(host, ":", peer.port());
}

absl::Status SocketError(absl::string_view what, boost::system::error_code error) {
  if (error == boost::asio::error::operation_aborted ||
      error == boost::asio::error::bad_descriptor) {
    return absl::UnavailableError(absl::StrCat(what, ": closed"));
  }
  return absl::UnavailableError(absl::StrCat(what, ": ", error.message()));
}

base::Awaitable<absl::StatusOr<tcp::socket>> ConnectTcp(base::Strand strand, Address address) {
  boost::system::error_code literal;
  const auto ip = boost::asio::ip::make_address(address.host, literal);
  if (!literal) {
    base::Awaitable<absl::StatusOr<tcp::socket>> connecting =
        ConnectTo(strand, tcp::endpoint(ip, address.port));
    absl::StatusOr<tcp::socket> socket = co_await std::move(connecting);
    co_return std::move(socket);
  }
  tcp::resolver resolver(strand);
  std::tuple<boost::system::error_code, tcp::resolver::results_type> resolved =
      co_await resolver.async_resolve(address.host, absl::StrCat(address.port), base::kTuple);
  if (std::get<0>(resolved)) {
    co_return absl::UnavailableError(
        absl::StrCat("look up ", address.host, ": ", std::get<0>(resolved).message()));
  }
  const tcp::resolver::results_type& entries = std::get<1>(resolved);
  const absl::Duration each = std::max(
      kAddressMin, kAddressesMax / static_cast<int64_t>(std::max<size_t>(entries.size(), 1)));
  std::string why = "no address";
  for (const auto& entry : entries) {
    base::Awaitable<std::optional<absl::StatusOr<tcp::socket>>> connecting =
        base::WithDeadline(ConnectTo(strand, entry.endpoint()), each);
    std::optional<absl::StatusOr<tcp::socket>> socket = co_await std::move(connecting);
    if (socket.has_value() && socket->ok()) co_return *std::move(*socket);
    const auto state = co_await boost::asio::this_coro::cancellation_state;
    if (state.cancelled() != boost::asio::cancellation_type::none) {
      co_return absl::UnavailableError("cancelled");
    }
    why = absl::StrCat(entry.endpoint().address().to_string(), ": ",
                       socket.has_value()
                           ? socket->status().message()
                           : absl::StrCat("no answer within ", absl::FormatDuration(each)));
  }
  co_return absl::UnavailableError(why);
}

std::unique_ptr<Stream> NewTcpStream(tcp::socket socket) {
  return std::make_unique<TcpStream>(std::move(socket));
}

}  // namespace orch::bus
