// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/asio.h"
#include "bus/stream.h"
#include "trust/identity.h"

// Streams over sockets that are connected already: what NewNetworkStreams builds on, and what a
// server makes of the sockets that it accepts. The socket's executor must be the strand on which
// the stream then lives.

namespace orch::bus {

// Plain TCP; sets TCP_NODELAY, keep-alive and non-blocking mode.
std::unique_ptr<Stream> NewTcpStream(boost::asio::ip::tcp::socket socket);

// The server's side of a TLS handshake; `context` (of Credentials::NewServerContext) decides whom
// to let in, `credentials` reads the peer's certificate for Stream::certificate(). Completes when:
// usable. Errors: Unavailable, `TLS handshake with 10.0.0.7:40312: …`. Cancellation: total, closes
// the socket; there is no deadline of its own. Runs on: the socket's strand.
base::Awaitable<absl::StatusOr<std::unique_ptr<Stream>>> AcceptTls(
    boost::asio::ip::tcp::socket socket, std::shared_ptr<SSL_CTX> context,
    std::shared_ptr<trust::Credentials> credentials);

// The client's side; `context` is of Credentials::NewClientContext, `server_name` goes into SNI
// (left out for addresses). As AcceptTls otherwise.
base::Awaitable<absl::StatusOr<std::unique_ptr<Stream>>> ConnectTls(
    boost::asio::ip::tcp::socket socket, std::shared_ptr<SSL_CTX> context,
    std::shared_ptr<trust::Credentials> credentials, std::string server_name);

// SSL_CTX_free as a deleter; null stays null.
std::shared_ptr<SSL_CTX> OwnContext(SSL_CTX* context);

}  // namespace orch::bus
