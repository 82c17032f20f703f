// SPDX-License-Identifier: Apache-2.0
// The part of JobRun that sends: batches of a mutating job, the broadcast of a read-only one, the
// cancel.
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

bool JobRun::WorthSending(absl::Time expires) const {
  return expires >= Now().wall + std::min(kPublishMargin, context_->options.request_ttl / 4);
}

void JobRun::StartNodes() {
  if (!job_->setup().mutating || preparing_ || !context_->connected) return;
  if (sensitive_ && restored_ && job_->waiting() > 0) {
    job_->GiveUpWaiting("not sent: the job carries a secret, which is not stored", Now());
    return Flush();
  }
  const base::Now now = Now();
  std::vector<std::string> nodes = job_->TakeStarts(kBatchNodesMax, now);
  if (nodes.empty()) return;
  std::sort(nodes.begin(), nodes.end());
  preparing_ = true;
  orch::bus::v1::Request request = NewRequest(*context_, request_.collective());
  request.MergeFrom(request_);
  for (const std::string& node : nodes) request.add_nodes(node);
  context_->outbox->Sign(
      std::move(request), [weak = weak_from_this(), nodes](absl::StatusOr<SignedRequest> ready) {
        auto self = weak.lock();
        if (self == nullptr || self->stopped_) return;
        if (ready.ok()) return self->StoreBatch(nodes, *std::move(ready));
        self->GiveUp(nodes, absl::StrCat("not sent: ", ready.status().message()));
      });
}

void JobRun::StoreBatch(std::vector<std::string> nodes, SignedRequest request) {
  StoredRequest stored;
  stored.set_request_id(request.request_id);
  stored.set_digest(request.digest);
  if (!sensitive_) stored.set_envelope(*request.envelope);
  for (const std::string& node : nodes) stored.add_nodes(node);
  stored.set_expire_ms(absl::ToUnixMillis(request.expires));
  StoreWrite write;
  write.requests.emplace_back(id(), std::move(stored));
  context_->store->PostWrite(
      std::move(write), Store::OnFailure::kRetry,
      [weak = weak_from_this(), nodes = std::move(nodes), request](absl::Status status) {
        auto self = weak.lock();
        if (self == nullptr || self->stopped_) return;
        if (status.ok()) return self->Publish(nodes, request);
        self->GiveUp(nodes, absl::StrCat("not sent: ", status.message()));
      });
}

void JobRun::GiveUp(const std::vector<std::string>& nodes, const std::string& why) {
  preparing_ = false;
  job_->OnUnpublishable(nodes, why, Now());
  Flush();
}

void JobRun::Publish(const std::vector<std::string>& nodes, SignedRequest request) {
  const base::Now now = Now();
  if (!WorthSending(request.expires)) {
    return GiveUp(nodes, "not sent: the store took longer than the request is valid");
  }
  preparing_ = false;
  const std::vector<std::string> wanted = job_->OnPublishing(nodes, request.expires, now);
  SentRequest& sent = requests_[request.request_id];
  sent.digest = request.digest;
  if (!sensitive_) sent.envelope = request.envelope;
  sent.nodes = nodes;
  sent.expires = request.expires;
  sent.published = now.steady;
  expiring_.emplace_back(request.expires, request.request_id);
  LogPublished(request.request_id, wanted.size());
  for (const std::string& node : wanted) SendToNode(node, request);
  Flush();
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
    self->job_->OnBroadcast(self->Now());
    self->FlushSoon();
  };
  // Counted before the first is sent: a send may fail at once.
  for (const JobRequestPart& part : parts) {
    parts_under_way_ += part.broadcast ? 1 : part.nodes.size();
  }
  for (JobRequestPart& part : parts) {
    SentRequest& kept = requests_[part.request.request_id];
    kept.digest = part.request.digest;
    kept.envelope = part.request.envelope;
    kept.expires = part.request.expires;
    kept.published = Now().steady;
    kept.nodes = part.nodes;
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
  WithCancel([this](const SignedRequest& cancel) {
    context_->outbox->Send(context_->options.destinations.Request(request_.collective()), cancel,
                           [weak = weak_from_this()](absl::Status status) {
                             auto self = weak.lock();
                             if (self != nullptr && !status.ok()) self->cancel_sent_ = false;
                           });
  });
}

void JobRun::WithCancel(std::function<void(const SignedRequest&)> send) {
  if (cancel_.envelope != nullptr && WorthSending(cancel_.expires)) return send(cancel_);
  want_cancel_.push_back(std::move(send));
  if (want_cancel_.size() > 1) return;  // it is being signed
  orch::bus::v1::Request request = NewRequest(*context_, request_.collective());
  request.set_job_id(id());
  request.set_caller(caller());
  request.set_traceparent(request_.traceparent());
  request.mutable_cancel()->set_job_id(id());
  context_->outbox->Sign(
      std::move(request), [weak = weak_from_this()](absl::StatusOr<SignedRequest> ready) {
        auto self = weak.lock();
        if (self == nullptr || self->stopped_) return;
        const auto wanted = std::exchange(self->want_cancel_, {});
        if (!ready.ok()) {
          base::LogError("sign a cancel",
                         {{"job_id", self->id()}, {"error", ready.status().ToString()}});
          return;
        }
        self->cancel_ = *std::move(ready);
        for (const auto& send_now : wanted) send_now(self->cancel_);
      });
}

}  // namespace orch::controller
