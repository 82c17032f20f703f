// SPDX-License-Identifier: Apache-2.0
// The part of JobRun that hears nodes, and deals with what got lost: replies are judged and taken,
// those that owe an answer are asked again.
#include <optional>
#include <utility>

#include "api/names.h"
#include "base/log.h"
#include "base/status.h"
#include "controller/run/job_run.h"

namespace orch::controller {

void JobRun::OnReply(const OpenedReply& opened, base::Now now) {
  switch (sent_.Judge(opened.reply)) {
    case SentRequests::Verdict::kOurs:
      break;
    case SentRequests::Verdict::kUnknownRequest:
      ++context_->metrics.replies_unknown;
      return;
    case SentRequests::Verdict::kWrongDigest:
      ++context_->metrics.replies_wrong_digest;
      return;
    case SentRequests::Verdict::kWrongNode:
      ++context_->metrics.replies_wrong_node;
      return;
  }
  switch (job_->Apply(opened.reply, now)) {
    case Job::Applied::kLate:
      ++context_->metrics.replies_late;
      break;
    case Job::Applied::kMalformed:
      ++context_->metrics.replies_malformed;
      break;
    case Job::Applied::kUnknownNode:
      ++context_->metrics.replies_wrong_node;
      break;
    case Job::Applied::kChanged:
      Measure(opened.reply, now);
      break;
    case Job::Applied::kDuplicate:
      break;
  }
}

// Only news counts, so a repeated answer is measured once.
void JobRun::Measure(const orch::bus::v1::Reply& reply, base::Now now) {
  const std::optional<absl::Duration> took = sent_.Age(reply.request_id(), now.steady);
  if (!took.has_value()) return;
  DispatcherMetrics& metrics = context_->metrics;
  if (reply.has_accepted()) metrics.acceptance.Observe(*took);
  if (reply.has_outcome()) {
    (job_->setup().mutating ? metrics.outcome : metrics.answer).Observe(*took);
  }
}

void JobRun::Nudge(const absl::flat_hash_set<std::string>* only) {
  if (!context_->connected || job_->ended()) return;
  const base::Now now = Now();
  if (!job_->setup().mutating) {
    // Taken up after a restart, or lost with its connection: the same bytes while they are valid,
    // and the answer timeout anew.
    if (!std::exchange(publish_again_, false)) return;
    for (const auto& [request_id, sent] : sent_.all()) {
      if (WorthSending(sent.expires, *context_)) Republish(sent, sent.nodes);
    }
    return job_->OnBroadcast(now);
  }
  for (const SentRequests::Owed& owed : sent_.FindOwed(*job_, only, now)) AskOwed(owed);
}

void JobRun::AskOwed(const SentRequests::Owed& owed) {
  if (!owed.republish.empty()) Republish(*owed.request, owed.republish);
  if (owed.query.empty()) return;
  const std::string& request_id = owed.request->request_id;
  if (job_->state() != orch::v1::JOB_STATE_STOPPING) return QueryResults(request_id, owed.query);
  cancel_->With([this, request_id, query = owed.query](const SignedRequest& cancel) {
    for (const std::string& node : query) {
      context_->outbox->Send(NodeDestination(node), cancel, nullptr);
    }
    QueryResults(request_id, query);
  });
}

void JobRun::Republish(const SentRequest& sent, const std::vector<std::string>& nodes) {
  if (sent.envelope == nullptr) return;
  const SignedRequest request{sent.request_id, sent.digest, sent.envelope, sent.expires};
  if (nodes.empty()) {
    context_->outbox->Send(context_->options.destinations.Request(request_.collective()), request,
                           nullptr);
  }
  for (const std::string& node : nodes) SendToNode(node, request);
}

void JobRun::QueryResults(const std::string& request_id, const std::vector<std::string>& nodes) {
  orch::bus::v1::Request request = NewRequest(*context_, request_.collective());
  request.set_job_id(id());
  request.set_caller(caller());
  request.set_traceparent(request_.traceparent());
  for (const std::string& node : nodes) request.add_nodes(node);
  request.mutable_result_query()->add_request_ids(request_id);
  context_->outbox->Sign(
      std::move(request), [weak = weak_from_this(), nodes](absl::StatusOr<SignedRequest> ready) {
        auto self = weak.lock();
        if (self == nullptr || self->stopped_) return;
        if (!ready.ok()) {
          base::LogError("sign a result query",
                         {{"job_id", self->id()}, {"error", ready.status().ToString()}});
          return;
        }
        self->sent_.AddQuery(ready->digest);
        for (const std::string& node : nodes) {
          self->context_->outbox->Send(self->NodeDestination(node), *ready, nullptr);
        }
      });
}

}  // namespace orch::controller
