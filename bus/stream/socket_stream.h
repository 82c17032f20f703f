// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/asio.h"
#include "bus/stomp/address.h"
#include "bus/stream/stream.h"
#include "trust/identity.h"

// What network streams are put together from: for the sources of this folder, and for who accepts
// connections; clients want NewNetworkStreams.

namespace orch::bus {

// Looks up and connects, one address of the host after the other. Completes when: connected.
// Errors: Unavailable, without a prefix. Cancellation: total. Runs on: `strand`, which becomes the
// socket's executor.
base::Awaitable<absl::StatusOr<boost::asio::ip::tcp::socket>> ConnectTcp(base::Strand strand,
                                                                         Address address);

// Plain TCP over a connected socket, whose executor must be the strand on which the stream lives.
std::unique_ptr<Stream> NewTcpStream(boost::asio::ip::tcp::socket socket);

// The client's side of a TLS handshake over such a socket. `context` is of
// Credentials::NewClientContext; `server_name` goes into SNI (left out for addresses). Completes
// when: usable. Errors: Unavailable, `TLS handshake: …`. Cancellation: total, closes the socket;
// there is no deadline of its own. Runs on: the socket's strand.
base::Awaitable<absl::StatusOr<std::unique_ptr<Stream>>> ConnectTls(
    boost::asio::ip::tcp::socket socket, std::shared_ptr<SSL_CTX> context, std::string server_name);

// The server's side of TLS over such a socket. `context` is of Credentials::NewServerContext.
class ServerStream : public Stream {
 public:
  // Before anything else. Completes when: usable. Errors: Unauthenticated, the peer's certificate
  // was refused, or it showed none; else Unavailable; `TLS handshake: …`. Cancellation: by Close;
  // there is no deadline of its own. Runs on: the socket's strand.
  virtual base::Awaitable<absl::Status> Handshake() = 0;
  // What the peer has shown, leaf first; empty before the handshake's end.
  virtual std::string certificate_pem() const = 0;
  // What was agreed on by ALPN; empty: nothing, or not yet.
  virtual std::string protocol() const = 0;
};
std::unique_ptr<ServerStream> NewTlsServerStream(boost::asio::ip::tcp::socket socket,
                                                 std::shared_ptr<SSL_CTX> context);

// From now on handshakes with `context`, a server's, agree on the protocol `name` by ALPN (RFC
// 7301) and end where the client offers others only; who offers none is left to the caller. `name`
// lives for ever.
void RequireProtocol(SSL_CTX* context, const char* name);

// SSL_CTX_free as a deleter; null stays null.
std::shared_ptr<SSL_CTX> OwnContext(SSL_CTX* context);

// Sets TCP_NODELAY, keep-alive and non-blocking mode; returns the peer as `host:port`.
std::string SetUpSocket(boost::asio::ip::tcp::socket* socket);

// Where error_code ends: Unavailable, `read: Connection reset by peer`; `read: closed` after Close.
absl::Status SocketError(absl::string_view what, boost::system::error_code error);

}  // namespace orch::bus
