// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/strand.h"
#include "bus/client/bus.h"
#include "controller/context/dispatcher_context.h"
#include "controller/context/metrics.h"
#include "orch/bus/v1/request.pb.h"
#include "trust/identity.h"

namespace orch::controller {

// How many bytes the client may have whose receipt has not come. Further messages wait in the
// outbox, where those of one request share one envelope.
inline constexpr size_t kSendWindowBytes = 4 << 20;
// How many messages may wait; further ones fail.
inline constexpr size_t kSendsWaitingMax = 500'000;

// A request in its signed form, ready for any number of destinations.
struct SignedRequest {
  std::string request_id;
  std::string digest;  // SHA-256 of the payload: replies must carry it
  std::shared_ptr<const std::string> envelope;
  absl::Time expires;
};

// A request of this controller to `collective` with a new id, valid from now on for the options'
// request_ttl. The kind is the caller's.
orch::bus::v1::Request NewRequest(const DispatcherContext& context, const std::string& collective);

// Signs requests and hands them to the bus at the pace of its receipts.
//
// Lives on: the dispatcher's strand; signing (5.6 ms with RSA-4096) runs on the io_context's
// threads, the client on its own strand.
class Outbox : public std::enable_shared_from_this<Outbox> {
 public:
  using Signed = std::function<void(absl::StatusOr<SignedRequest>)>;
  using Sent = std::function<void(absl::Status)>;

  Outbox(boost::asio::io_context* io, base::Strand strand, base::Strand bus_strand,
         bus::Bus* client, std::shared_ptr<trust::Credentials> credentials,
         DispatcherMetrics* metrics);

  // Signs `request` on another thread and calls `done` on the dispatcher's strand. It fails if the
  // key can't be used or the request is larger than an envelope may be.
  void Sign(orch::bus::v1::Request request, Signed done);
  // `sent` as in bus::Bus, on the dispatcher's strand; may be null.
  void Send(std::string destination, const SignedRequest& request, Sent sent);
  // How many messages wait here, and how many bytes the client has without a receipt.
  size_t waiting() const { return waiting_.size(); }
  size_t unconfirmed_bytes() const { return window_bytes_; }
  // Sends nothing and calls nobody back any more. To be called once, on the strand or when no
  // thread runs.
  void Stop();

 private:
  struct Message {
    std::string destination;
    std::shared_ptr<const std::string> envelope;
    absl::Time expires;
    Sent sent;
  };
  void SendSome();
  void OnSent(size_t bytes, const Sent& sent, absl::Status status);

  boost::asio::io_context* const io_;
  const base::Strand strand_;
  const base::Strand bus_strand_;
  bus::Bus* client_;
  const std::shared_ptr<trust::Credentials> credentials_;
  DispatcherMetrics* const metrics_;
  std::deque<Message> waiting_;
  size_t window_bytes_ = 0;
  std::atomic<bool> stopped_{false};  // metrics_ and client_ may be gone
};

}  // namespace orch::controller
