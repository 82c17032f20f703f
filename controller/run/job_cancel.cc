// SPDX-License-Identifier: Apache-2.0
#include "controller/run/job_cancel.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "controller/run/sent_requests.h"

namespace orch::controller {

bool WorthSending(absl::Time expires, const DispatcherContext& context) {
  return expires >=
         context.clock->Read().wall + std::min(kPublishMargin, context.options.request_ttl / 4);
}

void JobCancel::With(std::function<void(const SignedRequest&)> send) {
  if (cancel_.envelope != nullptr && WorthSending(cancel_.expires, *context_)) return send(cancel_);
  want_.push_back(std::move(send));
  if (want_.size() > 1) return;  // it is being signed
  orch::bus::v1::Request request = NewRequest(*context_, like_->collective());
  request.set_job_id(like_->job_id());
  request.set_caller(like_->caller());
  request.set_traceparent(like_->traceparent());
  request.mutable_cancel()->set_job_id(like_->job_id());
  context_->outbox->Sign(
      std::move(request), [weak = weak_from_this()](absl::StatusOr<SignedRequest> ready) {
        auto self = weak.lock();
        if (self == nullptr) return;
        const auto wanted = std::exchange(self->want_, {});
        if (!ready.ok()) {
          base::LogError("sign a cancel",
                         {{"job_id", self->like_->job_id()}, {"error", ready.status().ToString()}});
          return;
        }
        self->cancel_ = *std::move(ready);
        for (const auto& send_now : wanted) send_now(self->cancel_);
      });
}

}  // namespace orch::controller
