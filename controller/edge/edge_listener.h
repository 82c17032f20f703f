// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/server_builder.h>

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/log.h"
#include "base/strand.h"

namespace orch::controller {

// File descriptors that connections leave to the rest of the process: the store, the audit, the
// bus. Of a limit below four times this, a quarter.
inline constexpr int kDescriptorsKept = 64;
// How long nobody is accepted when there are no more for connections.
inline constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);

// Accepts connections for the gRPC server. gRPC has listeners of its own, but one of them that
// meets the limit of open files is closed for good: a stranger with that many idle connections
// would end the service. Here, accepting pauses, and those who wait get their turn when there is
// room again.
//
// Lives on: a strand of `io`, except where a method says so.
class ServiceListener : public std::enable_shared_from_this<ServiceListener> {
 public:
  using Acceptor = grpc::experimental::ExternalConnectionAcceptor;

  // Binds every address that `listen` (`host:port`) stands for; with port 0 the first alone, on a
  // free port. Unavailable: in use, or not ours; the error names it.
  static absl::StatusOr<std::shared_ptr<ServiceListener>> Bind(base::asio::io_context* io,
                                                               const std::string& listen);
  // From any thread, once: hands connections to `to`, whose server runs.
  void PostStart(std::unique_ptr<Acceptor> to);
  // From any thread: closes the ports, accepts nobody any more. Completes without waiting.
  void PostStop();

  // As configured, with the real port: `127.0.0.1:7443`, `[::1]:7443`. From any thread.
  const std::string& address() const { return address_; }

 private:
  using Port = base::asio::ip::tcp::acceptor;

  explicit ServiceListener(base::asio::io_context* io)
      : strand_(io->get_executor()), pause_(strand_) {}
  absl::Status BindAll(const std::string& listen);
  void Wait(size_t port);
  void Accept(size_t port);
  void Hand(int fd);
  void Pause(size_t port, const std::string& why);

  const base::Strand strand_;
  std::string address_;
  std::vector<Port> ports_;
  std::unique_ptr<Acceptor> to_;
  base::asio::steady_timer pause_;
  std::set<size_t> paused_;  // ports
  base::LogLimiter limiter_;
};

}  // namespace orch::controller
