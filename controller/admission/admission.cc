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
                     std::function<void(JobRun*)> on_over, Done done)
    : context_(context),
      admitted_(std::move(admitted)),
      action_(admitted_.spec.action()),
      body_digest_(std::move(body_digest)),
      on_over_(std::move(on_over)),
      done_(std::move(done)),
      id_(context->ulids->Next(context->clock->Read().wall)),
      trace_(base::ChildSpan(base::ParseTraceparent(admitted_.traceparent), id_)),
      create_time_(context->clock->Read().wall),
      timer_(context->strand, context->clock) {}

void Admission::Start() {
  ORCH_CHECK_ON(context_->strand);
  if (const absl::Status status = Prepare(); !status.ok()) return Refuse(status);
  names_.assign(admitted_.spec.nodes().begin(), admitted_.spec.nodes().end());
  if (admitted_.names.has_value()) names_ = *std::move(admitted_.names);
  named_ = admitted_.names.has_value() || !names_.empty();
  std::sort(names_.begin(), names_.end());
  names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
  const base::Now now = context_->clock->Read();
  if (!Nobody()) {
    resolved_ = context_->roster->Resolve(target_, admitted_.spec.target(), names_, now);
    if (admitted_.listing) HideUnseen(now);
  }
  roster_known_ = resolved_.exact || context_->roster->Settled(now);
  if (admitted_.validate_only) return Preview();
  if (!context_->connected) {
    return Refuse(
        api::WithRetry(api::Error(absl::StatusCode::kUnavailable, "BUS_UNAVAILABLE",
                                  absl::StrCat("the controller is ", BusTrouble(*context_))),
                       kRetryDelay));
  }
  if (!NeedsDiscovery()) return AskAll();
  Nobody() ? OnDiscovered() : Discover();
}

void Admission::HideUnseen(base::Now now) {
  const policy::Decision& sees = admitted_.decision;
  if (sees.conditions.empty()) return;
  const policy::NodeDecider decider(sees.conditions, sees.otherwise);
  // Unknown: the node decides, and names itself or stays unnamed.
  const auto decide = [&](const std::string& node) {
    const RosterEntry* entry = context_->roster->Find(node);
    if (entry != nullptr) return decider.Decide(RosterView(*entry, now));
    policy::NodeDecision unheard;
    unheard.unknown = true;
    return unheard;
  };
  Resolved seen;
  seen.exact = resolved_.exact;
  const auto sort_in = [&](const std::vector<std::string>& nodes, std::vector<std::string>* into) {
    for (const std::string& node : nodes) {
      const policy::NodeDecision on_node = decide(node);
      if (on_node.unknown) seen.maybe.push_back(node);
      if (!on_node.unknown && on_node.effect == policy::Effect::kAllow) into->push_back(node);
    }
  };
  sort_in(resolved_.expected, &seen.expected);
  sort_in(resolved_.maybe, &seen.maybe);
  // Whoever is asked for by name and hidden is waited for like one that does not exist, whether or
  // not the target is true for it: else the time that it takes would tell of it.
  if (seen.exact) {
    const auto& identities = admitted_.spec.target().identities();
    std::vector<std::string> asked = names_;
    if (asked.empty()) asked.assign(identities.begin(), identities.end());
    for (const std::string& node : asked) {
      const policy::NodeDecision on_node = decide(node);
      if (on_node.unknown || on_node.effect != policy::Effect::kAllow) seen.maybe.push_back(node);
    }
  }
  resolved_ = std::move(seen);
}

bool Admission::Limited() const {
  return !admitted_.spec.rollout().limit().empty() || admitted_.decision.max_nodes != 0 ||
         admitted_.decision.max_percent != 0;
}

bool Admission::NeedsDiscovery() const {
  if (mutating_) return true;
  // A limit counts those that are there, which the roster can't always tell.
  return Limited() && !Nobody() && (!roster_known_ || !resolved_.maybe.empty());
}

absl::Status Admission::Prepare() {
  orch::v1::JobSpec& spec = admitted_.spec;
  sensitive_ = api::RedactSensitive(spec.mutable_action());
  mutating_ = api::Mutates(action_);
  action_name_ = api::NameOf(action_);
  if (action_name_.empty()) return api::BadField("spec.action", "no action is given");
  for (const std::string& node : spec.nodes()) {
    if (!base::IsIdentity(node)) {
      return api::BadField("spec.nodes",
                           absl::StrCat("\"", node.substr(0, 80), "\" is no identity of a node"));
    }
  }
  auto target = target::Target::Compile(spec.target());
  if (!target.ok()) return api::BadField("spec.target", target.status().message());
  target_ = *std::move(target);
  const auto& served = context_->options.collectives;
  if (std::find(served.begin(), served.end(), target_.collective()) == served.end()) {
    return api::BadField(
        "spec.target.collective",
        absl::StrCat("`", target_.collective(), "` is not served here; this controller serves ",
                     absl::StrJoin(served, ", ")));
  }
  return PlanRollout(spec.rollout(), 1, 0).status();
}

void Admission::SplitUnable(std::vector<std::string>* nodes,
                            std::vector<JobNodeStart>* over) const {
  std::vector<std::string> able;
  for (std::string& node : *nodes) {
    const auto why =
        context_->roster->WhyUnable(node, action_name_, action_.external().schema_digest());
    if (!why.has_value()) {
      able.push_back(std::move(node));
      continue;
    }
    JobNodeStart start;
    start.node = std::move(node);
    start.state = orch::v1::NODE_STATE_REFUSED;
    start.reason = "unsupported";
    start.message = *why;
    over->push_back(std::move(start));
  }
  *nodes = std::move(able);
}

absl::StatusOr<std::vector<JobNodeStart>> Admission::FreezeList(
    std::vector<std::string> willing, std::vector<JobNodeStart> over) const {
  FreezeInput input;
  input.willing = std::move(willing);
  input.over = std::move(over);
  input.mutating = mutating_ && !admitted_.validate_only;  // a preview needs no confirmation
  input.confirm_above = context_->options.confirm_above;
  input.max_nodes = admitted_.decision.max_nodes;
  input.max_percent = admitted_.decision.max_percent;
  input.present = context_->roster->present(target_.collective());
  return Freeze(std::move(input), admitted_.spec);
}

void Admission::Preview() {
  std::vector<JobNodeStart> over;
  std::vector<std::string> willing = std::move(resolved_.expected);
  willing.insert(willing.end(), resolved_.maybe.begin(), resolved_.maybe.end());
  SplitUnable(&willing, &over);
  // Conditions are the nodes' to decide; here it is only said what the roster knows of them.
  const policy::NodeDecider decider(admitted_.decision.conditions, admitted_.decision.otherwise);
  std::vector<std::string> allowed;
  const base::Now now = context_->clock->Read();
  for (std::string& node : willing) {
    const RosterEntry* entry = context_->roster->Find(node);
    const policy::NodeDecision decision = decider.Decide(RosterView(*entry, now));
    if (decision.effect == policy::Effect::kAllow || decision.unknown) {
      allowed.push_back(std::move(node));
      continue;
    }
    JobNodeStart denied;
    denied.node = std::move(node);
    denied.state = orch::v1::NODE_STATE_DENIED;
    denied.reason = "policy";
    denied.message = decision.rule;
    over.push_back(std::move(denied));
  }
  for (const std::string& node : resolved_.unknown) {
    over.push_back(SilentNode(node, "it is named, but was never heard of"));
  }
  std::sort(allowed.begin(), allowed.end());
  auto list = FreezeList(std::move(allowed), std::move(over));
  if (!list.ok()) return Refuse(list.status());
  Outcome outcome;
  orch::v1::Job& job = outcome.created.job;
  job.set_caller(admitted_.caller);
  *job.mutable_spec() = admitted_.spec;
  job.set_targets(static_cast<uint32_t>(list->size()));
  job.set_controller(context_->options.controller);
  job.set_mutating(mutating_);
  job.set_traceparent(admitted_.traceparent);
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
  done_(std::move(outcome));
}

JobNodeStart Admission::SilentNode(const std::string& node, const std::string& message) const {
  JobNodeStart start;
  start.node = node;
  start.state = orch::v1::NODE_STATE_NO_RESPONSE;
  start.reason = "silent";
  start.message = message;
  const RosterEntry* entry = context_->roster->Find(node);
  if (entry != nullptr) start.last_seen = entry->last_seen;
  return start;
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
  const auto count =
      static_cast<uint32_t>(std::count_if(list.begin(), list.end(), [](const JobNodeStart& start) {
        return start.state == orch::v1::NODE_STATE_PENDING;
      }));
  // The sink may answer from any thread.
  const auto on_written = [weak = weak_from_this(), strand = context_->strand,
                           setup = std::move(setup), list = std::move(list)](absl::Status status) {
    boost::asio::post(strand, [weak, setup, list, status] {
      auto self = weak.lock();
      if (self == nullptr || !self->done_) return;
      if (status.ok()) return self->StoreJob(setup, list, {});
      self->Refuse(api::WithRetry(
          api::Error(absl::StatusCode::kUnavailable, "AUDIT_UNAVAILABLE",
                     absl::StrCat("refused, because it can't be audited: ", status.message())),
          kRetryDelay));
    });
  };
  base::LogInfo("job frozen", {{"job_id", id_},
                               {"caller", admitted_.caller},
                               {"action", action_name_},
                               {"nodes", count},
                               {"declined", job.targets() - count},
                               {"trace_id", trace_.trace_id},
                               {"span_id", trace_.span_id}});
  context_->audit->PostFrozen(std::move(job), count, on_written);
}

void Admission::StoreJob(JobSetup setup, std::vector<JobNodeStart> list,
                         std::vector<JobRequestPart> parts) {
  for (JobNodeStart& start : list) {
    if (start.state != orch::v1::NODE_STATE_PENDING) continue;
    const RosterEntry* entry = context_->roster->Find(start.node);
    start.unknown = entry == nullptr;
    if (entry != nullptr) start.last_seen = entry->last_seen;
  }
  auto job = std::make_unique<Job>(std::move(setup), std::move(list), std::move(resolved_.maybe),
                                   context_->clock->Read());
  auto outcome = std::make_shared<Outcome>();
  outcome->created.job = job->Snapshot(true);
  StoredJob record = Record(*job);
  outcome->run =
      std::make_shared<JobRun>(context_, std::move(job), Template(action_), sensitive_, on_over_);
  StoreWrite write = outcome->run->TakeFirstWrite(std::move(record), std::move(parts));
  write.new_job->idempotency_key = admitted_.idempotency_key;
  write.new_job->body_digest = body_digest_;
  context_->store->PostWrite(
      std::move(write), Store::OnFailure::kReport,
      [weak = weak_from_this(), outcome](absl::Status status) {
        auto self = weak.lock();
        if (self == nullptr || !self->done_) return;
        if (status.ok()) return std::exchange(self->done_, nullptr)(std::move(*outcome));
        self->Refuse(api::WithRetry(
            api::Error(absl::StatusCode::kUnavailable, "STORE_UNAVAILABLE",
                       absl::StrCat("refused, because it can't be stored: ", status.message())),
            kRetryDelay));
      });
}

void Admission::Refuse(absl::Status status) {
  timer_.cancel();
  if (done_) std::exchange(done_, nullptr)(std::move(status));
}

void Admission::Stop() {
  Refuse(api::WithRetry(
      api::Error(absl::StatusCode::kUnavailable, "STOPPING", "the controller is stopping"),
      kRetryDelay));
}

}  // namespace orch::controller
