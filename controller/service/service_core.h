// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "api/errors.h"
#include "base/strand.h"
#include "controller/edge/edge.h"
#include "controller/gate/validate.h"
#include "controller/service/call_shares.h"
#include "controller/service/grpc_status.h"
#include "controller/service/service.h"

// What the four services share; only for service*.cc and out_stream.

namespace orch::controller {

// A stream that can be asked to end.
class Stoppable : public std::enable_shared_from_this<Stoppable> {
 public:
  virtual ~Stoppable() = default;
  // From anywhere: ends it with `status`.
  virtual void PostStop(absl::Status status) = 0;
};

// One caller may have this part of ServiceOptions::calls_max: unary calls that are not answered.
inline constexpr uint32_t kPartOfCaller = 4;
// Of those whose answer is a page of a list, which are work for the dispatcher: how many of a
// caller it has at once, and how many more may wait for their turn.
inline constexpr size_t kPagesAtOnceMax = 4;
inline constexpr size_t kPagesWaitingMax = 256;

// Lives on: nothing of its own; `streams` on `strand`, the rest is constant or atomic.
struct ServiceCore {
  ServiceParts parts;
  ServiceOptions options;
  CallCounts counts;
  std::atomic<bool> stopping{false};
  std::atomic<uint32_t> calls{0};
  base::Strand strand;
  absl::flat_hash_set<std::shared_ptr<Stoppable>> streams;
  std::shared_ptr<Edge> edge;  // constant once the server runs
  CallShares pages{{.at_once = kPagesAtOnceMax, .waiting = kPagesWaitingMax}};

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

// Who calls, as the edge knows it of the connection; nullopt: the connection is gone.
std::optional<EdgeCaller> CallerOf(const ServiceCore& core,
                                   const grpc::CallbackServerContext& context);
// What the gate judges; nullopt: a caller who may nothing.
CallerEvidence EvidenceOf(std::optional<EdgeCaller> caller);
CallerEvidence EvidenceOf(const ServiceCore& core, const grpc::CallbackServerContext& context);
// The W3C traceparent header in version 00, or empty; anything malformed is none.
std::string TraceparentOf(const grpc::CallbackServerContext& context);

// One unary call: answers exactly once, and if everybody lets go of it unanswered, with
// UNAVAILABLE. Answers from anywhere.
template <typename Response>
class UnaryCall {
 public:
  UnaryCall(std::shared_ptr<ServiceCore> core, std::shared_ptr<EdgeParty> party,
            grpc::ServerUnaryReactor* reactor, Response* response)
      : core_(std::move(core)), party_(std::move(party)), reactor_(reactor), response_(response) {
    ++core_->calls;
    ++party_->calls;
  }
  ~UnaryCall() {
    --core_->calls;
    --party_->calls;
    if (holds_a_place_) core_->pages.End(party_.get());
    if (!answered_.exchange(true)) reactor_->Finish(core_->template Count<Response>(Stopping()));
  }
  void Answer(absl::StatusOr<Response> result) {
    if (answered_.exchange(true)) return;
    if (result.ok()) response_->Swap(&*result);
    reactor_->Finish(core_->template Count<Response>(result.status()));
  }
  // It has a place in `pages`, which its end gives back.
  void HoldPlace() { holds_a_place_ = true; }

 private:
  const std::shared_ptr<ServiceCore> core_;
  const std::shared_ptr<EdgeParty> party_;
  grpc::ServerUnaryReactor* const reactor_;
  Response* const response_;
  std::atomic<bool> answered_{false};
  bool holds_a_place_ = false;  // before it is worked on
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

// Hands a unary call to `work(evidence, reply)` on a thread of `io`; one that answers with a page
// when it is its caller's turn. One with a field that nobody knows here is refused.
template <typename Response, typename Work>
grpc::ServerUnaryReactor* PostCall(const std::shared_ptr<ServiceCore>& core,
                                   grpc::CallbackServerContext* context,
                                   const google::protobuf::Message& request, Response* response,
                                   Work work) {
  static const bool is_page = Response::descriptor()->FindFieldByName("next_page_token") != nullptr;
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  std::optional<EdgeCaller> caller = CallerOf(*core, *context);
  const auto party = caller.has_value() ? caller->party : std::make_shared<EdgeParty>();
  if (core->stopping || core->calls >= core->options.calls_max ||
      party->calls >= std::max(1u, core->options.calls_max / kPartOfCaller)) {
    reactor->Finish(core->template Count<Response>(core->stopping ? Stopping() : TooManyCalls()));
    return reactor;
  }
  if (const absl::Status known = ValidateKnown(request); !known.ok()) {
    reactor->Finish(core->template Count<Response>(known));
    return reactor;
  }
  const auto call = std::make_shared<UnaryCall<Response>>(core, party, reactor, response);
  std::function<void()> start = [core, call, evidence = EvidenceOf(std::move(caller)),
                                 work = std::move(work)]() mutable {
    if (is_page) call->HoldPlace();
    boost::asio::post(
        *core->parts.io,
        [reply = Reply<Response>(core->parts.io, std::move(call)), evidence = std::move(evidence),
         work = std::move(work)]() mutable { work(std::move(evidence), reply); });
  };
  if (!is_page) {
    start();
  } else if (!core->pages.Begin(party.get(), std::move(start))) {
    call->Answer(TooManyCalls());
  }
  return reactor;
}

// The services, each in its own file; `core` lives as long as they do.
std::unique_ptr<grpc::Service> NewJobService(std::shared_ptr<ServiceCore> core);
std::unique_ptr<grpc::Service> NewNodeService(std::shared_ptr<ServiceCore> core);
std::unique_ptr<grpc::Service> NewPolicyService(std::shared_ptr<ServiceCore> core);
std::unique_ptr<grpc::Service> NewAuditService(std::shared_ptr<ServiceCore> core);

}  // namespace orch::controller
