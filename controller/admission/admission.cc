// SPDX-License-Identifier: Apache-2.0
#include "controller/admission/admission.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/catalog.h"
#include "api/errors.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "controller/roster/roster.h"
#include "controller/store/store.h"

namespace orch::controller {
namespace {

constexpr absl::Duration kRetryDelay = absl::Seconds(1);

}  // namespace

Admission::Admission(DispatcherContext* context, AdmittedJob admitted, std::string body_digest,
                     std::function<void(JobRun*)> on_ended, Done done)
    : context_(context),
      admitted_(std::move(admitted)),
      action_(admitted_.spec.action()),
      body_digest_(std::move(body_digest)),
      on_ended_(std::move(on_ended)),
      done_(std::move(done)),
      id_(context->ulids->Next(context->clock->Read().wall)),
      trace_(base::ChildSpan(base::ParseTraceparent(admitted_.traceparent), id_)),
      create_time_(context->clock->Read().wall),
      names_held_(NamesIn(admitted_.spec)),
      timer_(context->strand, context->clock) {}

void Admission::Start() {
  ORCH_CHECK_ON(context_->strand);
  if (const absl::Status status = Prepare(); !status.ok()) return Refuse(status);
  whom_ = Resolve(admitted_, *target_, context_->roster, context_->clock->Read());
  if (admitted_.validate_only) return Preview();
  if (!context_->connected) {
    return Refuse(
        api::WithRetry(api::Error(absl::StatusCode::kUnavailable, "BUS_UNAVAILABLE",
                                  absl::StrCat("the controller is ", BusTrouble(*context_))),
                       kRetryDelay));
  }
  if (!NeedsDiscovery(admitted_, mutating_, whom_)) return AskAll();
  whom_.audience == Audience::kNobody ? OnDiscovered() : Discover();
}

absl::Status Admission::Prepare() {
  orch::v1::JobSpec& spec = admitted_.spec;
  sensitive_ = api::RedactSensitive(spec.mutable_action());
  mutating_ = api::Mutates(action_);
  if (api::NameOf(action_).empty()) return api::BadField("spec.action", "no action is given");
  for (const std::string& node : spec.nodes()) {
    if (!base::IsIdentity(node)) {
      return api::BadField("spec.nodes",
                           absl::StrCat("\"", node.substr(0, 80), "\" is no identity of a node"));
    }
  }
  target_ = admitted_.target;
  if (target_ == nullptr) {
    auto target = target::Target::Compile(spec.target());
    if (!target.ok()) return api::BadField("spec.target", target.status().message());
    target_ = std::make_shared<const target::Target>(*std::move(target));
  }
  const policy::Decision& decision = admitted_.decision;
  if (decision.max_nodes != 0 || decision.max_percent != 0) {
    limit_rule_ = decision.conditions.empty() ? decision.rule : decision.conditions.front().rule;
  }
  const auto& served = context_->options.collectives;
  if (std::find(served.begin(), served.end(), target_->collective()) == served.end()) {
    return api::BadField(
        "spec.target.collective",
        absl::StrCat("`", target_->collective(), "` is not served here; this controller serves ",
                     absl::StrJoin(served, ", ")));
  }
  return PlanRollout(spec.rollout(), 1, 0).status();
}

absl::StatusOr<std::vector<JobNodeStart>> Admission::FreezeList(std::vector<std::string> willing,
                                                                std::vector<JobNodeStart> ended) {
  FreezeInput input;
  input.willing = std::move(willing);
  input.ended = std::move(ended);
  input.mutating = mutating_ && !admitted_.validate_only;  // a preview needs no confirmation
  input.confirm_above = context_->options.confirm_above;
  input.max_nodes = admitted_.decision.max_nodes;
  input.max_percent = admitted_.decision.max_percent;
  input.present = context_->roster->present(target_->collective());
  if (!limit_rule_.empty()) context_->add_under_way(limit_rule_, &input.under_way);
  auto list = Freeze(std::move(input), admitted_.spec);
  if (!list.ok() || admitted_.validate_only) return list;
  step_ = Step::kFrozen;
  for (const JobNodeStart& start : *list) {
    if (start.state == orch::v1::NODE_STATE_PENDING) frozen_.push_back(start.node);
  }
  return list;
}

void Admission::Preview() {
  std::vector<JobNodeStart> ended;
  std::vector<std::string> willing = std::move(whom_.nodes.expected);
  willing.insert(willing.end(), whom_.nodes.maybe.begin(), whom_.nodes.maybe.end());
  SplitUnable(*context_->roster, action_, &willing, &ended);
  // Conditions are the nodes' to decide; here it is only said what the roster knows of them.
  SplitDenied(*context_->roster, admitted_.decision, context_->clock->Read(), &willing, &ended);
  for (const std::string& node : whom_.nodes.unknown) {
    ended.push_back(SilentNode(*context_->roster, node, "no node of this name is known"));
  }
  std::sort(willing.begin(), willing.end());
  auto list = FreezeList(std::move(willing), std::move(ended));
  if (!list.ok()) return Refuse(list.status());
  Outcome outcome;
  orch::v1::Job& job = outcome.created.job;
  job.set_caller(admitted_.caller);
  *job.mutable_spec() = admitted_.spec;
  job.set_targets(static_cast<uint32_t>(list->size()));
  job.set_controller(context_->options.controller);
  job.set_mutating(mutating_);
  job.set_traceparent(admitted_.traceparent);
  job.set_message(Note());
  job.set_not_asked_count(static_cast<uint32_t>(whom_.nodes.absent.size()));
  *job.mutable_not_asked() = NotAsked(*context_->roster, whom_.nodes.absent);
  for (JobNodeStart& start : *list) {
    if (start.state == orch::v1::NODE_STATE_PENDING) {
      outcome.created.nodes.push_back(std::move(start.node));
      continue;
    }
    orch::v1::JobNode& other = outcome.created.others.emplace_back();
    other.set_node(std::move(start.node));
    other.set_state(start.state);
    other.set_reason(std::move(start.reason));
    other.set_message(std::move(start.message));
    if (start.last_seen != absl::InfinitePast()) {
      *other.mutable_last_seen() = ToTimestamp(start.last_seen);
    }
  }
  Answer(std::move(outcome));
}

void Admission::OnReply(const OpenedReply& opened, base::Now now) {
  DispatcherMetrics& metrics = context_->metrics;
  const orch::bus::v1::Reply& reply = opened.reply;
  if (!discovery_.has_value() || reply.request_id() != discover_.request_id) {
    ++metrics.replies_unknown;
    return;
  }
  if (reply.request_digest() != discover_.digest) {
    ++metrics.replies_wrong_digest;
    return;
  }
  orch::bus::v1::Discovered answer = reply.discovered();
  if (reply.has_outcome()) {
    // A node may also decline as it would decline the action itself.
    answer.set_state(reply.outcome().state());
    answer.set_reason(reply.outcome().reason());
    answer.set_message(reply.outcome().message());
  } else if (!reply.has_discovered()) {
    ++metrics.replies_malformed;
    return;
  }
  discovery_->OnDiscovered(reply.node(), answer, now);
  ArmTimer();
}

void Admission::Audit(std::vector<JobNodeStart> list) {
  JobSetup setup = Setup();
  auto plan = PlanRollout(admitted_.spec.rollout(), static_cast<uint32_t>(list.size()),
                          action_.has_puppet_run() ? context_->options.concurrency : 0);
  if (!plan.ok()) return Refuse(plan.status());
  setup.rollout = *plan;
  orch::v1::Job job;
  job.set_name(JobName(id_));
  job.set_caller(admitted_.caller);
  *job.mutable_spec() = admitted_.spec;
  job.set_state(orch::v1::JOB_STATE_RUNNING);
  job.set_targets(static_cast<uint32_t>(list.size()));
  job.set_controller(context_->options.controller);
  job.set_mutating(true);
  const auto count = static_cast<uint32_t>(frozen_.size());
  // The sink may answer from any thread.
  const auto on_written = [weak = weak_from_this(), strand = context_->strand,
                           setup = std::move(setup), list = std::move(list)](absl::Status status) {
    boost::asio::post(strand, [weak, setup, list, status] {
      auto self = weak.lock();
      if (self == nullptr || self->answered()) return;
      if (status.ok()) return self->StoreJob(setup, list, {});
      self->Refuse(api::WithRetry(
          api::Error(absl::StatusCode::kUnavailable, "AUDIT_UNAVAILABLE",
                     absl::StrCat("refused, because it can't be audited: ", status.message())),
          kRetryDelay));
    });
  };
  base::LogInfo("job frozen", {{"job_id", id_},
                               {"caller", admitted_.caller},
                               {"action", api::NameOf(action_)},
                               {"nodes", count},
                               {"declined", job.targets() - count},
                               {"trace_id", trace_.trace_id},
                               {"span_id", trace_.span_id}});
  context_->audit->PostFrozen(std::move(job), count, on_written);
}

void Admission::StoreJob(JobSetup setup, std::vector<JobNodeStart> list,
                         std::vector<JobRequestPart> parts) {
  step_ = Step::kStoring;
  for (JobNodeStart& start : list) {
    if (start.state != orch::v1::NODE_STATE_PENDING) continue;
    const RosterEntry* entry = context_->roster->Find(start.node);
    start.unknown = entry == nullptr;
    if (entry != nullptr) start.last_seen = entry->last_seen;
    start.gone = entry != nullptr && entry->state == orch::v1::ROSTER_STATE_GONE;
  }
  auto job = std::make_unique<Job>(std::move(setup), std::move(list), std::move(whom_.nodes.maybe),
                                   context_->clock->Read());
  auto outcome = std::make_shared<Outcome>();
  outcome->created.job = job->Snapshot(true);
  StoredJob record = Record(*job);
  outcome->run =
      std::make_shared<JobRun>(context_, std::move(job), Template(action_), sensitive_, on_ended_);
  StoreWrite write = outcome->run->TakeFirstWrite(std::move(record), std::move(parts));
  write.new_job->idempotency_key = admitted_.idempotency_key;
  write.new_job->body_digest = body_digest_;
  context_->store->PostWrite(
      std::move(write), Store::OnFailure::kReport,
      [weak = weak_from_this(), outcome](absl::Status status) {
        auto self = weak.lock();
        if (self == nullptr || self->answered()) return;
        if (status.ok()) return self->Answer(std::move(*outcome));
        self->Refuse(api::WithRetry(
            api::Error(absl::StatusCode::kUnavailable, "STORE_UNAVAILABLE",
                       absl::StrCat("refused, because it can't be stored: ", status.message())),
            kRetryDelay));
      });
}

void Admission::Refuse(absl::Status status) { Answer(std::move(status)); }

void Admission::Answer(absl::StatusOr<Outcome> outcome) {
  if (answered()) return;
  step_ = Step::kAnswered;
  timer_.cancel();
  std::exchange(done_, nullptr)(std::move(outcome));
}

void Admission::Stop() {
  Refuse(api::WithRetry(
      api::Error(absl::StatusCode::kUnavailable, "STOPPING", "the controller is stopping"),
      kRetryDelay));
}

}  // namespace orch::controller
