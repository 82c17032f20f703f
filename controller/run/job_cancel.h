// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "controller/context/dispatcher_context.h"
#include "controller/mail/outbox.h"
#include "orch/bus/v1/request.pb.h"

namespace orch::controller {

// Whether a request that is void then is still worth sending.
bool WorthSending(absl::Time expires, const DispatcherContext& context);

// The signed cancel of one job, made when it is first wanted and again when it has grown too old:
// nodes that are told of it start nothing of this job any more.
//
// Lives on: the dispatcher's strand. Owned by the job's run; what is under way when it goes is
// dropped.
class JobCancel : public std::enable_shared_from_this<JobCancel> {
 public:
  // `like` is the template of the job's requests.
  JobCancel(DispatcherContext* context, const orch::bus::v1::Request* like)
      : context_(context), like_(like) {}
  // Calls `send` with a cancel that is worth sending: at once, or when it is signed.
  void With(std::function<void(const SignedRequest&)> send);

 private:
  DispatcherContext* const context_;
  const orch::bus::v1::Request* const like_;
  SignedRequest cancel_;                                         // the last one
  std::vector<std::function<void(const SignedRequest&)>> want_;  // until it is signed
};

}  // namespace orch::controller
