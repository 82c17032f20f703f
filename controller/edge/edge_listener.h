// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/log.h"
#include "base/strand.h"

namespace orch::controller {

// Descriptors of one connection: its socket, and the two ends of the pair between the guard and
// gRPC.
inline constexpr int kDescriptorsOfConnection = 3;
// File descriptors that connections leave to the rest of the process: the store, the audit, the
// bus. Of a limit below four times this, a quarter.
inline constexpr int kDescriptorsKept = 64;
// How long nobody is accepted when there are no more for connections.
inline constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);

// Accepts connections for the edge. gRPC has listeners of its own, but one of them that meets the
// limit of open files is closed for good: a stranger with that many idle connections would end the
// service. Here, accepting pauses, and those who wait get their turn when there is room again.
//
// Lives on: a strand of `io`, except where a method says so.
class EdgeListener : public std::enable_shared_from_this<EdgeListener> {
 public:
  // Takes a connected socket over, non-blocking; its peer is `127.0.0.1:4711` or `[::1]:4711`.
  using Sink = std::function<void(int fd, std::string peer)>;

  // Binds every address that `listen` (`host:port`) stands for; with port 0 the first alone, on a
  // free port. Unavailable: in use, or not ours; the error names it.
  static absl::StatusOr<std::shared_ptr<EdgeListener>> Bind(base::asio::io_context* io,
                                                            const std::string& listen);
  // From any thread, once: hands connections to `to`, on the listener's strand.
  void PostStart(Sink to);
  // From any thread: closes the ports, accepts nobody any more. Completes without waiting.
  void PostStop();

  // As configured, with the real port: `127.0.0.1:7443`, `[::1]:7443`. From any thread.
  const std::string& address() const { return address_; }

 private:
  using Port = base::asio::ip::tcp::acceptor;

  explicit EdgeListener(base::asio::io_context* io)
      : strand_(io->get_executor()), pause_(strand_) {}
  absl::Status BindAll(const std::string& listen);
  void Wait(size_t port);
  void Accept(size_t port);
  void Pause(size_t port, const std::string& why);

  const base::Strand strand_;
  std::string address_;
  std::vector<Port> ports_;
  Sink to_;  // null: not started, or stopped
  base::asio::steady_timer pause_;
  std::set<size_t> paused_;  // ports
  base::LogLimiter limiter_;
};

}  // namespace orch::controller
