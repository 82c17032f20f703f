// SPDX-License-Identifier: Apache-2.0
// The part of JobRun that deals with what got lost: replies are checked and taken, silent nodes are
// asked again, and a job is taken up after a restart.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "controller/run/job_run.h"

namespace orch::controller {

std::shared_ptr<JobRun> JobRun::Restore(DispatcherContext* context, UnfinishedJob stored,
                                        std::function<void(JobRun*)> on_over) {
  const StoredJob& record = stored.record;
  JobSetup setup;
  setup.id = record.job().name().substr(sizeof("jobs/") - 1);
  setup.caller = record.job().caller();
  setup.controller = record.job().controller();
  setup.spec = record.job().spec();
  setup.mutating = record.job().mutating();
  setup.listing = record.listing();
  setup.create_time = ToTime(record.job().create_time());
  setup.traceparent = record.job().traceparent();
  setup.answer_timeout = ToDuration(record.answer_timeout());
  setup.run_timeout = ToDuration(record.run_timeout());
  setup.plants = context->options.plants;
  setup.rollout.canary = record.canary();
  setup.rollout.concurrency = record.concurrency();
  setup.rollout.batch_size = record.batch_size();
  setup.rollout.batch_sleep = ToDuration(record.batch_sleep());
  setup.rollout.max_failures = record.max_failures();
  auto job = Job::Restore(std::move(setup), stored.status.job(), stored.status.cancelled(),
                          std::move(stored.nodes), context->clock->Read());
  auto run = std::make_shared<JobRun>(context, std::move(job), record.request(), record.sensitive(),
                                      std::move(on_over));
  run->restored_ = true;
  run->publish_again_ = !run->job_->setup().mutating;
  run->visible_ = stored.status.job();
  run->log_ = JobLog(run->job_->last_sequence());
  for (StoredRequest& request : stored.requests) {
    SentRequest& sent = run->requests_[request.request_id()];
    sent.digest = request.digest();
    sent.expires = absl::FromUnixMillis(request.expire_ms());
    if (!request.envelope().empty()) {
      sent.envelope = std::make_shared<const std::string>(std::move(*request.mutable_envelope()));
    }
    sent.nodes.assign(request.nodes().begin(), request.nodes().end());
    if (run->job_->setup().mutating)
      run->expiring_.emplace_back(sent.expires, request.request_id());
  }
  std::sort(run->expiring_.begin(), run->expiring_.end());
  return run;
}

bool JobRun::IsOurs(const OpenedReply& opened) const {
  const orch::bus::v1::Reply& reply = opened.reply;
  DispatcherMetrics& metrics = context_->metrics;
  auto it = requests_.find(reply.request_id());
  if (it == requests_.end()) {
    ++metrics.replies_unknown;
    return false;
  }
  const SentRequest& sent = it->second;
  // A node that knows nothing of a request can't tell its digest: it answers with the query's.
  const bool query =
      reply.has_unknown_request() && std::find(query_digests_.begin(), query_digests_.end(),
                                               reply.request_digest()) != query_digests_.end();
  if (sent.digest != reply.request_digest() && !query &&
      !context_->options.plants.digest_not_compared) {
    ++metrics.replies_wrong_digest;
    return false;
  }
  if (!sent.nodes.empty() &&
      !std::binary_search(sent.nodes.begin(), sent.nodes.end(), reply.node())) {
    ++metrics.replies_wrong_node;
    return false;
  }
  return true;
}

void JobRun::OnReply(const OpenedReply& opened, base::Now now) {
  if (!IsOurs(opened)) return;
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
  const absl::Duration took = now.steady - requests_[reply.request_id()].published;
  if (took == absl::InfiniteDuration()) return;
  DispatcherMetrics& metrics = context_->metrics;
  if (reply.has_accepted()) metrics.acceptance.Observe(took);
  if (reply.has_outcome())
    (job_->setup().mutating ? metrics.outcome : metrics.answer).Observe(took);
}

void JobRun::Nudge(const absl::flat_hash_set<std::string>* only) {
  if (!context_->connected || job_->ended()) return;
  const base::Now now = Now();
  if (!job_->setup().mutating) {
    // Taken up after a restart, or lost with its connection: the same bytes while they are valid,
    // and the answer timeout anew.
    if (!std::exchange(publish_again_, false)) return;
    for (const auto& [request_id, sent] : requests_) {
      if (WorthSending(sent.expires)) Republish(request_id, sent, sent.nodes);
    }
    return job_->OnBroadcast(now);
  }
  for (auto& [request_id, sent] : requests_) NudgeRequest(request_id, &sent, only, now);
}

void JobRun::NudgeRequest(const std::string& request_id, SentRequest* sent,
                          const absl::flat_hash_set<std::string>* only, base::Now now) {
  std::vector<std::string> republish, query;
  // A job that is to stop starts nobody: the node hears of the cancel, and is asked what it did.
  const bool stopping = job_->state() == orch::v1::JOB_STATE_STOPPING;
  const bool valid = sent->expires > now.wall;
  for (const std::string& node : sent->nodes) {
    if (only != nullptr && !only->contains(node)) continue;
    const auto state = job_->StateOf(node);
    if (!state.has_value() || IsTerminal(*state)) continue;
    const bool heard = *state >= orch::v1::NODE_STATE_ACCEPTED;
    if (heard || stopping || !valid) {
      query.push_back(node);
    } else if (sent->envelope != nullptr) {
      republish.push_back(node);  // the node's journal knows it if it had it
    }
  }
  if (!republish.empty()) Republish(request_id, *sent, republish);
  if (query.empty()) return;
  if (!stopping) return QueryResults(request_id, query);
  WithCancel([this, request_id, query](const SignedRequest& cancel) {
    for (const std::string& node : query)
      context_->outbox->Send(NodeDestination(node), cancel, nullptr);
    QueryResults(request_id, query);
  });
}

void JobRun::Republish(const std::string& request_id, const SentRequest& sent,
                       const std::vector<std::string>& nodes) {
  SignedRequest request{request_id, sent.digest, sent.envelope, sent.expires};
  if (sent.envelope == nullptr) return;
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
        self->query_digests_.push_back(ready->digest);
        if (self->query_digests_.size() > kQueriesKept) self->query_digests_.pop_front();
        for (const std::string& node : nodes) {
          self->context_->outbox->Send(self->NodeDestination(node), *ready, nullptr);
        }
      });
}

}  // namespace orch::controller
