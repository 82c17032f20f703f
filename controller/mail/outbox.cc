// SPDX-License-Identifier: Apache-2.0
#include "controller/mail/outbox.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/sha256.h"
#include "base/status.h"
#include "base/version.h"

namespace orch::controller {
namespace {

absl::StatusOr<SignedRequest> SignNow(const trust::Credentials& credentials,
                                      const orch::bus::v1::Request& request) {
  SignedRequest out;
  std::string payload = request.SerializeAsString();
  out.request_id = request.request_id();
  out.digest = base::Sha256(payload);
  out.expires = ToTime(request.expire_time());
  ORCH_ASSIGN_OR_RETURN(const orch::bus::v1::Envelope envelope,
                        credentials.Sign(trust::Domain::kRequest, std::move(payload), true));
  std::string bytes = envelope.SerializeAsString();
  if (bytes.size() > trust::kEnvelopeMax) {
    return absl::ResourceExhaustedError(absl::StrCat("the signed request has ", bytes.size(),
                                                     " bytes, an envelope may have ",
                                                     trust::kEnvelopeMax));
  }
  out.envelope = std::make_shared<const std::string>(std::move(bytes));
  return out;
}

}  // namespace

orch::bus::v1::Request NewRequest(const DispatcherContext& context, const std::string& collective) {
  const absl::Time now = context.clock->Read().wall;
  orch::bus::v1::Request request;
  request.set_protocol(base::kProtocol);
  request.set_collective(collective);
  request.set_request_id(context.random->Bytes(16));
  *request.mutable_issue_time() = ToTimestamp(now);
  *request.mutable_expire_time() = ToTimestamp(now + context.options.request_ttl);
  request.set_controller(context.options.controller);
  return request;
}

Outbox::Outbox(boost::asio::io_context* io, base::Strand strand, base::Strand bus_strand,
               bus::Bus* client, std::shared_ptr<trust::Credentials> credentials,
               DispatcherMetrics* metrics)
    : io_(io),
      strand_(std::move(strand)),
      bus_strand_(std::move(bus_strand)),
      client_(client),
      credentials_(std::move(credentials)),
      metrics_(metrics) {}

void Outbox::Sign(orch::bus::v1::Request request, Signed done) {
  ORCH_CHECK_ON(strand_);
  ++metrics_->requests_signed;
  boost::asio::post(*io_, [self = shared_from_this(), request = std::move(request),
                           done = std::move(done)]() mutable {
    auto result = SignNow(*self->credentials_, request);
    boost::asio::post(self->strand_,
                      [self, result = std::move(result), done = std::move(done)]() mutable {
                        if (!self->stopped_) done(std::move(result));
                      });
  });
}

void Outbox::Send(std::string destination, const SignedRequest& request, Sent sent) {
  ORCH_CHECK_ON(strand_);
  if (stopped_) return;
  if (waiting_.size() >= kSendsWaitingMax) {
    ++metrics_->sends_failed;
    if (sent) sent(absl::ResourceExhaustedError("too many messages wait for the bus"));
    return;
  }
  waiting_.push_back({std::move(destination), request.envelope, request.expires, std::move(sent)});
  SendSome();
}

void Outbox::SendSome() {
  while (!waiting_.empty() && window_bytes_ < kSendWindowBytes) {
    Message message = std::move(waiting_.front());
    waiting_.pop_front();
    const size_t bytes = message.envelope->size();
    window_bytes_ += bytes;
    boost::asio::post(bus_strand_,
                      [self = shared_from_this(), message = std::move(message), bytes]() mutable {
                        if (self->stopped_) return;
                        self->client_->SendWithReceipt(
                            std::move(message.destination), *message.envelope, message.expires,
                            [self, sent = std::move(message.sent), bytes](absl::Status status) {
                              boost::asio::post(self->strand_, [self, sent, bytes, status] {
                                self->OnSent(bytes, sent, status);
                              });
                            });
                      });
  }
}

void Outbox::OnSent(size_t bytes, const Sent& sent, absl::Status status) {
  if (stopped_) return;
  window_bytes_ -= bytes;
  ++(status.ok() ? metrics_->messages_sent : metrics_->sends_failed);
  if (sent) sent(std::move(status));
  SendSome();
}

void Outbox::Stop() { stopped_ = true; }

}  // namespace orch::controller
