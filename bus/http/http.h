// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/strand.h"

namespace orch::bus {

// What `/readyz` says. The process is ready if `missing` is empty; otherwise it has a line for each
// part that is not ready, such as `bus: connect broker1:61614: connection refused`.
struct Readiness {
  std::vector<std::string> missing;
};

// Where the answers come from. Each function calls its argument exactly once, from any thread.
struct HttpSources {
  std::function<void(std::function<void(Readiness)>)> readiness;
  std::function<void(std::function<void(std::string)>)> metrics;  // Prometheus text
};

// `/livez`, `/readyz` and `/metrics` over plain HTTP/1.1, GET and HEAD. Nothing else is served, so
// no client can cost more than a small header and a few seconds.
//
// Methods may be called from one thread at a time, any thread. Each connection lives on a strand of
// its own.
class HttpServer {
 public:
  // Connections at once. For one more, the oldest that is not being answered is closed; if all are
  // being answered, the new one is.
  static constexpr int kConnectionsMax = 64;
  static constexpr size_t kHeaderBytesMax = 8 << 10;
  // How long a request may take to arrive, and its answer to be taken.
  static constexpr absl::Duration kPatience = absl::Seconds(10);

  // Binds and serves. Unavailable: the address is in use or can't be bound, named.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(boost::asio::io_context* io,
                                                           const std::string& listen,
                                                           HttpSources sources);
  // Does what Stop does.
  ~HttpServer();
  // The bound address, `127.0.0.1:7480`, with the real port also where `listen` says 0.
  const std::string& address() const { return address_; }
  // Accepts no more connections and closes those that are open. Coroutines that are under way end
  // soon after, on `io`.
  void Stop();

 private:
  class Listener;
  HttpServer(std::shared_ptr<Listener> listener, std::string address)
      : listener_(std::move(listener)), address_(std::move(address)) {}
  const std::shared_ptr<Listener> listener_;
  const std::string address_;
};

}  // namespace orch::bus
