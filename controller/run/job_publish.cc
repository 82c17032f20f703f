// SPDX-License-Identifier: Apache-2.0
// The part of JobRun that sends: to one node, a read-only job's broadcast, the cancel.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "controller/run/job_run.h"
#include "controller/store/store.h"

namespace orch::controller {

std::string JobRun::NodeDestination(const std::string& node) const {
  return context_->options.destinations.Node(request_.collective(), node);
}

void JobRun::LogPublished(const std::string& request_id, size_t nodes) {
  const auto level =
      ++published_ <= kPublishedLoggedMax ? base::LogLevel::kInfo : base::LogLevel::kDebug;
  base::Log(level, "request published",
            {{"job_id", id()},
             {"request_id", base::Hex(request_id)},
             {"nodes", nodes},
             {"trace_id", trace_.trace_id},
             {"span_id", trace_.span_id}});
}

// The wall clock, because a job's creation is a time, not a reading of this process' clock.
void JobRun::OnFirstSent() {
  if (std::exchange(first_sent_, true) || restored_) return;
  context_->metrics.dispatch.Observe(Now().wall - job_->setup().create_time);
}

void JobRun::SendToNode(const std::string& node, const SignedRequest& request) {
  context_->outbox->Send(NodeDestination(node), request,
                         [weak = weak_from_this(), node](absl::Status status) {
                           auto self = weak.lock();
                           // Not on the bus: sent again after the next connect.
                           if (self == nullptr || self->stopped_ || !status.ok()) return;
                           self->OnFirstSent();
                           self->job_->OnSent(node, self->Now());
                           self->FlushSoon();
                         });
}

void JobRun::PublishAgain() {
  publish_again_ = true;
  if (context_->connected) nudge_at_ = std::min(nudge_at_, Now().steady + kNudgeFirst);
}

void JobRun::PublishParts() {
  std::vector<JobRequestPart> parts = std::move(parts_);
  parts_.clear();
  const auto sent = [weak = weak_from_this()](absl::Status status) {
    auto self = weak.lock();
    if (self == nullptr || self->stopped_) return;
    if (status.ok()) self->OnFirstSent();
    // The connection was lost under it: perhaps nobody heard it. Nodes do what changes nothing once
    // for a request, so it is sent again where the bus comes back in time.
    if (!status.ok()) self->PublishAgain();
    if (--self->parts_under_way_ > 0) return;
    self->job_->OnBroadcast(self->Now(), status.ok() ? "" : std::string(status.message()));
    self->FlushSoon();
  };
  // Counted before the first is sent: a send may fail at once.
  for (const JobRequestPart& part : parts) {
    parts_under_way_ += part.broadcast ? 1 : part.nodes.size();
  }
  for (JobRequestPart& part : parts) {
    sent_.Add({.request_id = part.request.request_id,
               .digest = part.request.digest,
               .envelope = part.request.envelope,
               .nodes = part.nodes,
               .expires = part.request.expires,
               .published = Now().steady},
              /*watched=*/false);
    LogPublished(part.request.request_id, part.nodes.size());
    if (part.broadcast) {
      context_->outbox->Send(context_->options.destinations.Request(request_.collective()),
                             part.request, sent);
      continue;
    }
    for (const std::string& node : part.nodes) {
      context_->outbox->Send(NodeDestination(node), part.request, sent);
    }
  }
}

void JobRun::SendCancel() {
  if (!context_->connected) return;
  cancel_sent_ = true;
  if (!job_->setup().mutating) return;
  cancel_->With([this](const SignedRequest& cancel) {
    context_->outbox->Send(context_->options.destinations.Request(request_.collective()), cancel,
                           [weak = weak_from_this()](absl::Status status) {
                             auto self = weak.lock();
                             if (self != nullptr && !status.ok()) self->cancel_sent_ = false;
                           });
  });
}

}  // namespace orch::controller
