// SPDX-License-Identifier: Apache-2.0
// The part of JobRun that starts nodes: judged, rationed, signed, stored, published, in this order;
// one batch at a time.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/catalog.h"
#include "api/errors.h"
#include "base/status.h"
#include "controller/run/job_run.h"
#include "controller/store/store.h"

namespace orch::controller {

void SetConditions(const policy::Decision& decision, orch::bus::v1::Request* request) {
  request->clear_conditions();
  for (const policy::Condition& condition : decision.conditions) {
    orch::bus::v1::Condition* out = request->add_conditions();
    out->set_allow(condition.effect == policy::Effect::kAllow);
    out->set_where(condition.where);
    out->set_rule(condition.rule);
    out->set_action_policy(condition.action_policy);
  }
  request->set_default_allow(decision.otherwise == policy::Effect::kAllow);
}

absl::Status JobRun::JudgeAgain() {
  if (context_->judge == nullptr || judge_number_ == context_->judge_number) {
    return absl::OkStatus();
  }
  const JobSetup& setup = job_->setup();
  const policy::Decision decision = context_->judge(setup.caller, setup.spec, setup.listing);
  if (decision.denied_outright()) {
    return api::Error(absl::StatusCode::kPermissionDenied, "POLICY_DENIED",
                      absl::StrCat(setup.caller, " may no longer do ",
                                   api::NameOf(setup.spec.action()), ": ", decision.rule));
  }
  SetConditions(decision, &request_);
  judge_number_ = context_->judge_number;
  return absl::OkStatus();
}

NodeStart JobRun::StartOf(const std::string& node) const {
  return {id(), api::NameOf(job_->setup().spec.action()), node};
}

void JobRun::TellBudget(const std::vector<StartedNodeEnd>& ends) {
  for (const StartedNodeEnd& end : ends) {
    context_->start_budget->OnEnded(StartOf(end.node), end);
  }
}

void JobRun::StartNodes() {
  if (!job_->setup().mutating || preparing_ || !context_->connected) return;
  if (sensitive_ && restored_ && job_->waiting() > 0) {
    job_->GiveUpWaiting("not sent: the job carries a secret, which is not stored", Now());
    return Flush();
  }
  if (job_->waiting() == 0) return;
  if (const absl::Status may = JudgeAgain(); !may.ok()) {
    job_->Stop(std::string(may.message()), Now());
    return Flush();
  }
  const base::Now now = Now();
  const auto may_start = [this](const std::string& node) {
    return context_->start_budget->TryTake(StartOf(node));
  };
  std::vector<std::string> nodes = job_->TakeStarts(kBatchNodesMax, may_start, now);
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
  StoreWrite write;
  write.requests.emplace_back(id(), ToStored(request, nodes, /*with_bytes=*/!sensitive_));
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
  if (!WorthSending(request.expires, *context_)) {
    return GiveUp(nodes, "not sent: the store took longer than the request is valid");
  }
  preparing_ = false;
  const std::vector<std::string> wanted = job_->OnPublishing(nodes, request.expires, now);
  sent_.Add({.request_id = request.request_id,
             .digest = request.digest,
             .envelope = sensitive_ ? nullptr : request.envelope,
             .nodes = nodes,
             .expires = request.expires,
             .published = now.steady},
            /*watched=*/true);
  LogPublished(request.request_id, wanted.size());
  for (const std::string& node : wanted) SendToNode(node, request);
  Flush();
}

}  // namespace orch::controller
