// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/asio.h"
#include "base/log.h"
#include "bus/stream/socket_stream.h"
#include "controller/edge/edge_callers.h"
#include "controller/edge/http2_guard.h"

namespace orch::controller {

struct EdgeCounts {
  std::atomic<uint64_t> handshakes_refused{0};   // no certificate, a node's, a revoked one
  std::atomic<uint64_t> handshakes_given_up{0};  // too slow, or too many of one address
  std::atomic<uint64_t> connections_refused{0};  // too many of one certificate, or no descriptors
  std::atomic<uint64_t> connections_cut{0};      // by the guard
  std::atomic<int64_t> connections{0};           // open now, handshakes included
};

// What all connections of an edge share. Constant after construction, or thread-safe.
struct EdgeShared {
  EdgeCallers callers;
  EdgeCounts counts;
  size_t connections_of_party_max = EdgeCallers::kConnectionsOfPartyMax;
  // Takes one end of a socket pair over: gRPC's. From any thread.
  std::function<void(int fd)> to_grpc;

  // One line a minute for each peer's address and kind.
  void Log(absl::string_view message, const std::string& peer, absl::string_view why);

 private:
  std::mutex mutex_;
  base::LogLimiter limiter_;
};

// One connection: TLS to the client, the guard, and a socket pair to gRPC. gRPC gets its end only
// when the client's certificate was accepted and its HTTP/2 has begun, so that what a stranger
// holds is one descriptor and a few kilobytes.
//
// In each direction one piece is under way at a time: read, judged, written. A side that takes
// nothing stops the other by TCP's own means, and only in that direction.
//
// Lives on: a strand of its own; ends by itself.
class EdgeConnection : public std::enable_shared_from_this<EdgeConnection> {
 public:
  using Socket = base::asio::ip::tcp::socket;

  // Told on the connection's strand: the client is known; HTTP/2 has begun, or never will.
  struct Events {
    std::function<void()> shaken;
    std::function<void()> opened;
  };

  // `context` null: without TLS. `socket` is on `strand`, which is nobody else's.
  EdgeConnection(std::shared_ptr<EdgeShared> shared, base::Strand strand, Socket socket,
                 std::string peer, std::shared_ptr<SSL_CTX> context, Events events);
  ~EdgeConnection();

  void Start();
  // From any thread: ends it at once; `why` lives for ever.
  void PostEnd(const char* why);

 private:
  using Status = absl::Status;
  using Pair = base::asio::local::stream_protocol::socket;

  static base::Awaitable<void> Run(std::shared_ptr<EdgeConnection> self);
  base::Awaitable<Status> Serve();
  base::Awaitable<Status> Shake();
  // Until the guard has seen HTTP/2 begin; what was read waits in opening_.
  base::Awaitable<Status> ReadOpening();
  base::Awaitable<Status> RelayIn();
  base::Awaitable<Status> RelayOut();
  base::Awaitable<Status> WatchDeadlines();
  base::Awaitable<Status> WriteToGrpc(absl::string_view bytes);
  base::Awaitable<Status> SayGoodbye();
  base::Awaitable<Status> Drain();
  Status JoinParty();
  Status MakePair();
  // `read` bytes of in_ or out_. Not OK: fault_.
  Status Judge(size_t read, bool of_client);
  Status Fail(std::optional<Http2Fault> fault);
  void Opened();
  void Close();

  const std::shared_ptr<EdgeShared> shared_;
  const base::Strand strand_;
  const std::string peer_;
  Events events_;

  // On strand_ only.
  bus::ServerStream* tls_ = nullptr;  // stream_, if it is TLS
  std::unique_ptr<bus::Stream> stream_;
  Pair pair_;         // our end
  std::string name_;  // of our end; empty before there is one
  std::shared_ptr<EdgeParty> party_;
  std::optional<Http2Guard> guard_;
  std::optional<Http2Fault> fault_;
  std::string opening_;
  base::asio::steady_timer timer_;
  absl::Duration armed_;  // timer_'s time
  bool writing_out_ = false;
  const char* ended_ = nullptr;  // by PostEnd
  std::array<char, 16 << 10> in_, out_;
};

}  // namespace orch::controller
