// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "api/errors.h"
#include "base/strand.h"
#include "controller/gate/validate.h"
#include "controller/service/grpc_status.h"
#include "controller/service/service.h"

// What the four services share; only for service*.cc and job_stream.

namespace orch::controller {

// A stream that can be asked to end.
class Stoppable : public std::enable_shared_from_this<Stoppable> {
 public:
  virtual ~Stoppable() = default;
  // From anywhere: ends it with `status`.
  virtual void PostStop(absl::Status status) = 0;
};

// Lives on: nothing of its own; `streams` on `strand`, the rest is constant or atomic.
struct ServiceCore {
  ServiceParts parts;
  ServiceOptions options;
  CallCounts counts;
  std::atomic<bool> stopping{false};
  std::atomic<uint32_t> calls{0};
  base::Strand strand;
  absl::flat_hash_set<std::shared_ptr<Stoppable>> streams;

  ServiceCore(ServiceParts p, ServiceOptions o)
      : parts(std::move(p)), options(std::move(o)), strand(parts.io->get_executor()) {}

  // The end of a call whose method answers with a Response.
  template <typename Response>
  grpc::Status Count(const absl::Status& status) {
    counts.Count(Response::descriptor()->name(), status.code());
    return ToGrpc(status);
  }
};

// UNAVAILABLE STOPPING with RetryInfo.
absl::Status Stopping();
// RESOURCE_EXHAUSTED TOO_MANY_CALLS with RetryInfo.
absl::Status TooManyCalls();

CallerEvidence EvidenceOf(const grpc::CallbackServerContext& context);
// The W3C traceparent header in version 00, or empty; anything malformed is none.
std::string TraceparentOf(const grpc::CallbackServerContext& context);

// One unary call: answers exactly once, and if everybody lets go of it unanswered, with
// UNAVAILABLE. Answers from anywhere.
template <typename Response>
class UnaryCall {
 public:
  UnaryCall(std::shared_ptr<ServiceCore> core, grpc::ServerUnaryReactor* reactor,
            Response* response)
      : core_(std::move(core)), reactor_(reactor), response_(response) {
    ++core_->calls;
  }
  ~UnaryCall() {
    --core_->calls;
    if (!answered_.exchange(true)) reactor_->Finish(core_->template Count<Response>(Stopping()));
  }
  void Answer(absl::StatusOr<Response> result) {
    if (answered_.exchange(true)) return;
    if (result.ok()) response_->Swap(&*result);
    reactor_->Finish(core_->template Count<Response>(result.status()));
  }

 private:
  const std::shared_ptr<ServiceCore> core_;
  grpc::ServerUnaryReactor* const reactor_;
  Response* const response_;
  std::atomic<bool> answered_{false};
};

// Takes the result of a unary call. Copyable; the answer is serialised on a thread of `io`, not on
// the strand that it comes from.
template <typename Response>
class Reply {
 public:
  Reply(boost::asio::io_context* io, std::shared_ptr<UnaryCall<Response>> call)
      : io_(io), call_(std::move(call)) {}
  void operator()(absl::StatusOr<Response> result) const {
    boost::asio::post(*io_, [call = call_, result = std::move(result)]() mutable {
      call->Answer(std::move(result));
    });
  }

 private:
  boost::asio::io_context* io_;
  std::shared_ptr<UnaryCall<Response>> call_;
};

// Hands a unary call to `work(evidence, reply)` on a thread of `io`; one with a field that nobody
// knows here is refused.
template <typename Response, typename Work>
grpc::ServerUnaryReactor* PostCall(const std::shared_ptr<ServiceCore>& core,
                                   grpc::CallbackServerContext* context,
                                   const google::protobuf::Message& request, Response* response,
                                   Work work) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  if (core->stopping || core->calls >= core->options.calls_max) {
    reactor->Finish(core->template Count<Response>(core->stopping ? Stopping() : TooManyCalls()));
    return reactor;
  }
  if (const absl::Status known = ValidateKnown(request); !known.ok()) {
    reactor->Finish(core->template Count<Response>(known));
    return reactor;
  }
  Reply<Response> reply(core->parts.io,
                        std::make_shared<UnaryCall<Response>>(core, reactor, response));
  boost::asio::post(*core->parts.io,
                    [reply = std::move(reply), evidence = EvidenceOf(*context),
                     work = std::move(work)]() mutable { work(std::move(evidence), reply); });
  return reactor;
}

// The services, each in its own file; `core` lives as long as they do.
std::unique_ptr<grpc::Service> NewJobService(std::shared_ptr<ServiceCore> core);
std::unique_ptr<grpc::Service> NewNodeService(std::shared_ptr<ServiceCore> core);
std::unique_ptr<grpc::Service> NewPolicyService(std::shared_ptr<ServiceCore> core);
std::unique_ptr<grpc::Service> NewAuditService(std::shared_ptr<ServiceCore> core);

}  // namespace orch::controller
