// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/buffer.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/asio.h"
#include "trust/identity.h"

// A byte stream under a STOMP session: TCP, TLS, or a pair in memory. One reader, one writer at a
// time. Where error_code ends: everything above sees absl::Status.

namespace orch::bus {

class Stream {
 public:
  virtual ~Stream() = default;
  // Reads 1 to `size` bytes. Completes when: some arrived. Errors: OutOfRange at the orderly end,
  // Unavailable otherwise. Cancellation: by Close. Runs on: the stream's strand.
  virtual base::Awaitable<absl::StatusOr<size_t>> Read(char* data, size_t size) = 0;
  // Writes all buffers as one gather write. Completes when: the kernel has them all. Errors:
  // Unavailable. Cancellation: by Close. Runs on: the stream's strand. The memory that the buffers
  // point to, and the vector, must live until then.
  virtual base::Awaitable<absl::Status> Write(
      const std::vector<boost::asio::const_buffer>& buffers) = 0;
  // Closes the stream. Never blocks, and may be called more than once. A read or write under way
  // ends with Unavailable; the stream must outlive it.
  virtual void Close() = 0;
  // `127.0.0.1:40312` or `memory`.
  virtual std::string peer() const = 0;
  // The peer's certificate, if it showed one that was verified in the handshake.
  virtual std::optional<trust::Peer> certificate() const = 0;
};

class StreamFactory {
 public:
  virtual ~StreamFactory() = default;
  // Connects to `host:port`, with the TLS handshake where it belongs. Completes when: usable.
  // Errors: Unavailable, `connect broker1:61614: TLS handshake: …`. Cancellation: total, closes
  // what was begun. Runs on: the strand it is given, on which the stream then lives.
  virtual base::Awaitable<absl::StatusOr<std::unique_ptr<Stream>>> Connect(base::Strand strand,
                                                                           std::string address) = 0;
};

// A factory of network streams: TLS with `credentials`, plain TCP with null. The server's
// certificate must be for `server_name`, or for the host of the address if that is empty. One
// factory may serve any number of clients on any strands; they share a TLS context, which is made
// anew after the credentials were reloaded.
std::shared_ptr<StreamFactory> NewNetworkStreams(std::shared_ptr<trust::Credentials> credentials,
                                                 std::string server_name);

// Two ends of one stream in memory, each on its own strand; `capacity` bytes may wait in each
// direction. Destroying an end closes it; the other end still reads what was written.
std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> NewMemoryStreams(
    base::Strand first, base::Strand second, size_t capacity = 1 << 20);

}  // namespace orch::bus
