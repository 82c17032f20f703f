// SPDX-License-Identifier: Apache-2.0
// The part of Admission that makes requests: the discovery of a mutating job, the broadcast of a
// read-only one, and the template of all that follow.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/catalog.h"
#include "api/errors.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "controller/admission/admission.h"
#include "controller/roster/roster.h"

namespace orch::controller {
namespace {

// From a node's own limit to the controller's: its answer needs time to come.
constexpr absl::Duration kRunGrace = absl::Seconds(30);
// What an external action gets whose description says nothing.
constexpr absl::Duration kExternalTimeout = absl::Hours(1);
// Puppet's own default of splaylimit is its runinterval.
constexpr absl::Duration kSplayLimitDefault = absl::Minutes(30);
constexpr absl::Duration kAnswerTimeoutDefault = absl::Seconds(2);
// After the bus came back nodes come back within bus.reconnect_spread, or where it was away for
// long within bus.reconnect_max; a caller waits for them so long at most.
constexpr absl::Duration kReturnMax = absl::Seconds(35);
constexpr absl::Duration kReturnWait = absl::Seconds(15);

// How long the node may take once it starts.
absl::Duration NodeTimeout(const orch::v1::Action& action, const orch::v1::JobSpec& spec) {
  if (action.puppet_run().has_timeout()) return ToDuration(action.puppet_run().timeout());
  if (spec.has_timeout()) return ToDuration(spec.timeout());
  const api::ActionInfo* info = api::InfoOf(action);
  const bool known = info != nullptr && info->run_timeout > absl::ZeroDuration();
  return known ? info->run_timeout : kExternalTimeout;
}

// How long the node may wait before it starts.
absl::Duration WaitBeforeStart(const orch::v1::PuppetRun& run) {
  absl::Duration wait = ToDuration(run.wait_for_lock());
  if (run.splay() || run.has_splay_limit()) {
    wait += run.has_splay_limit() ? ToDuration(run.splay_limit()) : kSplayLimitDefault;
  }
  return wait;
}

}  // namespace

JobSetup Admission::Setup() const {
  JobSetup setup;
  setup.id = id_;
  setup.caller = admitted_.caller;
  setup.controller = context_->options.controller;
  setup.spec = admitted_.spec;
  setup.mutating = mutating_;
  setup.create_time = create_time_;
  setup.traceparent = admitted_.traceparent;
  setup.roster_known = roster_known_;
  setup.nobody = nobody_;
  setup.listing = admitted_.listing;
  setup.plants = context_->options.plants;
  const bool timeout = admitted_.spec.has_timeout();
  if (mutating_) {
    setup.run_timeout = kRunGrace + (timeout ? ToDuration(admitted_.spec.timeout())
                                             : NodeTimeout(action_, admitted_.spec) +
                                                   WaitBeforeStart(action_.puppet_run()));
    if (discovery_.has_value() && discovery_->silent_maybes() > 0) {
      setup.note = absl::StrCat(discovery_->silent_maybes(),
                                discovery_->silent_maybes() == 1 ? " node" : " nodes",
                                " that the target may or may not match stayed silent");
    }
    return setup;
  }
  const api::ActionInfo* info = api::InfoOf(action_);
  const bool known = info != nullptr && info->answer_timeout > absl::ZeroDuration();
  setup.strict_timeout = timeout;
  setup.answer_timeout = timeout ? ToDuration(admitted_.spec.timeout())
                         : known ? info->answer_timeout
                                 : kAnswerTimeoutDefault;
  return setup;
}

orch::bus::v1::Request Admission::Template(const orch::v1::Action& action) const {
  orch::bus::v1::Request request;
  request.set_collective(target_.collective());
  request.set_job_id(id_);
  request.set_caller(admitted_.caller);
  request.set_traceparent(trace_.ToString());
  *request.mutable_target() = admitted_.spec.target();
  for (const policy::Condition& condition : admitted_.decision.conditions) {
    orch::bus::v1::Condition* out = request.add_conditions();
    out->set_allow(condition.effect == policy::Effect::kAllow);
    out->set_where(condition.where);
    out->set_rule(condition.rule);
    out->set_action_policy(condition.action_policy);
  }
  request.set_default_allow(admitted_.decision.otherwise == policy::Effect::kAllow);
  *request.mutable_action()->mutable_action() = action;
  if (mutating_) {
    *request.mutable_action()->mutable_timeout() =
        ToProtoDuration(NodeTimeout(action_, admitted_.spec));
  }
  return request;
}

StoredJob Admission::Record(const Job& job) const {
  const JobSetup& setup = job.setup();
  StoredJob record;
  *record.mutable_job() = job.Snapshot(true);
  *record.mutable_request() = Template(admitted_.spec.action());
  record.set_sensitive(sensitive_);
  *record.mutable_answer_timeout() = ToProtoDuration(setup.answer_timeout);
  *record.mutable_run_timeout() = ToProtoDuration(setup.run_timeout);
  record.set_canary(setup.rollout.canary);
  record.set_concurrency(setup.rollout.concurrency);
  record.set_batch_size(setup.rollout.batch_size);
  *record.mutable_batch_sleep() = ToProtoDuration(setup.rollout.batch_sleep);
  record.set_max_failures(setup.rollout.max_failures);
  record.set_listing(setup.listing);
  return record;
}

void Admission::Discover() {
  SplitUnable(&resolved_.expected, &unable_);
  SplitUnable(&resolved_.maybe, &unable_);
  discovery_.emplace(resolved_, DiscoveryOptions{.named_only = named_,
                                                 .roster_known = roster_known_,
                                                 .timeout = context_->options.discovery_timeout});
  orch::bus::v1::Request request = NewRequest(*context_, target_.collective());
  request.MergeFrom(Template(action_));
  request.mutable_discover()->set_action(action_name_);
  // Thousands of names cost every node more than an answer that is not wanted.
  if (names_.size() <= kBatchNodesMax) {
    request.mutable_nodes()->Assign(names_.begin(), names_.end());
  }
  context_->outbox->Sign(std::move(request),
                         [weak = weak_from_this()](absl::StatusOr<SignedRequest> ready) {
                           auto self = weak.lock();
                           if (self != nullptr && self->done_)
                             self->OnDiscoverSigned(std::move(ready));
                         });
}

void Admission::OnDiscoverSigned(absl::StatusOr<SignedRequest> ready) {
  if (!ready.ok()) return Refuse(base::Annotate(ready.status(), "sign the discovery"));
  discover_ = *std::move(ready);
  context_->outbox->Send(
      context_->options.destinations.Request(target_.collective()), discover_,
      [weak = weak_from_this()](absl::Status status) {
        auto self = weak.lock();
        if (self == nullptr || !self->done_ || !self->discovery_.has_value()) return;
        if (!status.ok()) {
          return self->Refuse(api::WithRetry(
              api::Error(absl::StatusCode::kUnavailable, "BUS_UNAVAILABLE",
                         absl::StrCat("the discovery was not sent: ", status.message())),
              absl::Seconds(1)));
        }
        self->OnDiscoverSent();
      });
}

// Nodes that have not been heard since the bus came (back) are perhaps on their way back themselves
// and missed this: they are waited for.
void Admission::OnDiscoverSent() {
  const base::Now now = context_->clock->Read();
  discovery_->OnPublished(now);
  const absl::Duration until =
      std::min(context_->connected_at + kReturnMax, now.steady + kReturnWait);
  if (until > now.steady) {
    std::vector<std::string> away;
    for (const auto* nodes : {&resolved_.expected, &resolved_.maybe}) {
      for (const std::string& node : *nodes) {
        const RosterEntry* entry = context_->roster->Find(node);
        if (entry != nullptr && entry->last_heard < context_->connected_at) {
          away.push_back(node);
        }
      }
    }
    discovery_->ExpectBack(away, until);
  }
  ArmTimer();
}

void Admission::OnNodeBack(const std::string& node) {
  if (!done_ || !discovery_.has_value() || discovered_) return;
  if (discover_.envelope == nullptr) return;  // being signed: it hears what is sent then
  if (!discovery_->OnBack(node, context_->clock->Read())) return;
  // The same signed bytes: a node that did hear them answers once.
  context_->outbox->Send(context_->options.destinations.Node(target_.collective(), node), discover_,
                         nullptr);
  ArmTimer();
}

void Admission::ArmTimer() {
  if (!done_ || discovered_) return;
  const base::Now now = context_->clock->Read();
  if (discovery_->over(now)) return OnDiscovered();
  if (discovery_->deadline() == absl::InfiniteDuration()) return;
  timer_.expires_after(discovery_->deadline() - now.steady);
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    auto self = weak.lock();
    if (!error && self != nullptr) self->ArmTimer();
  });
}

void Admission::OnDiscovered() {
  discovered_ = true;
  timer_.cancel();
  std::vector<std::string> willing;
  std::vector<JobNodeStart> over;
  if (discovery_.has_value()) {
    willing = discovery_->Willing();
    over = discovery_->Declined();
    // A listing tells nothing of those that are hidden, except of whom the roster expected.
    if (admitted_.listing) {
      std::sort(resolved_.expected.begin(), resolved_.expected.end());
      const auto hidden = [this](const JobNodeStart& start) {
        return start.state == orch::v1::NODE_STATE_DENIED &&
               !std::binary_search(resolved_.expected.begin(), resolved_.expected.end(),
                                   start.node);
      };
      over.erase(std::remove_if(over.begin(), over.end(), hidden), over.end());
    }
    for (const std::string& node : discovery_->Silent()) {
      over.push_back(SilentNode(
          node, discovery_->IsAway(node) ? "not heard since the controller came (back) to the bus: "
                                           "it was sent nothing"
                                         : "no answer to the discovery: it was sent nothing"));
    }
  }
  absl::flat_hash_set<std::string> known(willing.begin(), willing.end());
  for (const JobNodeStart& start : over) known.insert(start.node);
  for (JobNodeStart& start : unable_) {
    if (!known.contains(start.node)) over.push_back(std::move(start));
  }
  resolved_.maybe.clear();
  if (!mutating_) return Ask(std::move(willing), std::move(over));
  auto list = FreezeList(std::move(willing), std::move(over));
  if (!list.ok()) return Refuse(list.status());
  Audit(*std::move(list));
}

void Admission::AskAll() {
  SplitUnable(&resolved_.expected, &unable_);
  SplitUnable(&resolved_.maybe, &unable_);
  std::vector<std::string> willing = std::move(resolved_.expected);
  willing.insert(willing.end(), resolved_.unknown.begin(), resolved_.unknown.end());
  std::sort(willing.begin(), willing.end());
  Ask(std::move(willing), std::move(unable_));
}

void Admission::Ask(std::vector<std::string> willing, std::vector<JobNodeStart> over) {
  auto list = FreezeList(std::move(willing), std::move(over));
  if (!list.ok()) return Refuse(list.status());
  std::vector<std::string> names = names_;
  const bool limited = Limited();
  if (limited) {
    // Chosen or counted here, so they are named: nobody else answers.
    resolved_.maybe.clear();
    names.clear();
    for (const JobNodeStart& start : *list) {
      if (start.state == orch::v1::NODE_STATE_PENDING) names.push_back(start.node);
    }
  }
  nobody_ = names.empty() && (named_ || limited);
  if (nobody_) return StoreJob(Setup(), *std::move(list), {});
  std::vector<std::vector<std::string>> groups;
  for (size_t i = 0; i < names.size(); i += kBatchNodesMax) {
    const size_t end = std::min(names.size(), i + kBatchNodesMax);
    groups.emplace_back(names.begin() + i, names.begin() + end);
  }
  if (groups.empty()) groups.emplace_back();
  SignNextPart(std::make_shared<std::vector<JobNodeStart>>(*std::move(list)), std::move(groups), 0);
}

void Admission::SignNextPart(std::shared_ptr<std::vector<JobNodeStart>> list,
                             std::vector<std::vector<std::string>> groups, size_t next) {
  if (next == groups.size()) return StoreJob(Setup(), std::move(*list), std::move(parts_));
  orch::bus::v1::Request request = NewRequest(*context_, target_.collective());
  request.MergeFrom(Template(action_));
  for (const std::string& node : groups[next]) request.add_nodes(node);
  context_->outbox->Sign(
      std::move(request), [weak = weak_from_this(), list, groups = std::move(groups),
                           next](absl::StatusOr<SignedRequest> ready) mutable {
        auto self = weak.lock();
        if (self == nullptr || !self->done_) return;
        if (!ready.ok()) return self->Refuse(base::Annotate(ready.status(), "sign the request"));
        self->parts_.push_back({*std::move(ready), groups[next], groups.size() == 1});
        self->SignNextPart(list, std::move(groups), next + 1);
      });
}

}  // namespace orch::controller
