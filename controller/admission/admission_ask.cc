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
#include "controller/store/job_record.h"

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

std::string Admission::Note() const {
  std::string note;
  if (whom_.unheard > 0) {
    note = absl::StrCat(whom_.unheard, whom_.unheard == 1 ? " more name" : " more names",
                        " of nodes that are not known: nothing was sent to them");
  }
  if (mutating_ && discovery_.has_value() && discovery_->silent_maybes() > 0) {
    absl::StrAppend(&note, note.empty() ? "" : "; ", discovery_->silent_maybes(),
                    discovery_->silent_maybes() == 1 ? " node" : " nodes",
                    " that the target may or may not match stayed silent");
  }
  return note;
}

JobSetup Admission::Setup() const {
  JobSetup setup;
  setup.id = id_;
  setup.caller = admitted_.caller;
  setup.controller = context_->options.controller;
  setup.spec = admitted_.spec;
  setup.mutating = mutating_;
  setup.create_time = create_time_;
  setup.traceparent = admitted_.traceparent;
  setup.roster_known = whom_.roster_known;
  setup.nobody = whom_.audience == Audience::kNobody;
  setup.listing = admitted_.listing;
  setup.plants = context_->options.plants;
  setup.limit_rule = limit_rule_;
  setup.note = Note();
  setup.not_asked_count = static_cast<uint32_t>(whom_.nodes.absent.size());
  setup.not_asked = NotAsked(*context_->roster, whom_.nodes.absent);
  const bool timeout = admitted_.spec.has_timeout();
  if (mutating_) {
    setup.run_timeout = kRunGrace + (timeout ? ToDuration(admitted_.spec.timeout())
                                             : NodeTimeout(action_, admitted_.spec) +
                                                   WaitBeforeStart(action_.puppet_run()));
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
  request.set_collective(target_->collective());
  request.set_job_id(id_);
  request.set_caller(admitted_.caller);
  request.set_traceparent(trace_.ToString());
  *request.mutable_target() = admitted_.spec.target();
  SetConditions(admitted_.decision, &request);
  *request.mutable_action()->mutable_action() = action;
  if (mutating_) {
    *request.mutable_action()->mutable_timeout() =
        ToProtoDuration(NodeTimeout(action_, admitted_.spec));
  }
  return request;
}

StoredJob Admission::Record(const Job& job) const {
  StoredJob record;
  *record.mutable_job() = job.Snapshot(true);
  SetupInto(job.setup(), &record);
  *record.mutable_request() = Template(admitted_.spec.action());
  record.set_sensitive(sensitive_);
  return record;
}

void Admission::Discover() {
  step_ = Step::kDiscovering;
  SplitUnable(*context_->roster, action_, &whom_.nodes.expected, &whom_.unable);
  SplitUnable(*context_->roster, action_, &whom_.nodes.maybe, &whom_.unable);
  discovery_.emplace(whom_.nodes, DiscoveryOptions{.named_only = whom_.audience == Audience::kNamed,
                                                   .roster_known = whom_.roster_known,
                                                   .timeout = context_->options.discovery_timeout});
  orch::bus::v1::Request request = NewRequest(*context_, target_->collective());
  request.MergeFrom(Template(action_));
  request.mutable_discover()->set_action(api::NameOf(action_));
  // Thousands of names cost every node more than an answer that is not wanted.
  if (whom_.names.size() <= kBatchNodesMax) {
    request.mutable_nodes()->Assign(whom_.names.begin(), whom_.names.end());
  }
  context_->outbox->Sign(std::move(request),
                         [weak = weak_from_this()](absl::StatusOr<SignedRequest> ready) {
                           auto self = weak.lock();
                           if (self != nullptr && !self->answered())
                             self->OnDiscoverSigned(std::move(ready));
                         });
}

void Admission::OnDiscoverSigned(absl::StatusOr<SignedRequest> ready) {
  if (!ready.ok()) return Refuse(base::Annotate(ready.status(), "sign the discovery"));
  discover_ = *std::move(ready);
  context_->outbox->Send(
      context_->options.destinations.Request(target_->collective()), discover_,
      [weak = weak_from_this()](absl::Status status) {
        auto self = weak.lock();
        if (self == nullptr || self->step_ != Step::kDiscovering) return;
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
    for (const auto* nodes : {&whom_.nodes.expected, &whom_.nodes.maybe}) {
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
  if (step_ != Step::kDiscovering) return;
  if (discover_.envelope == nullptr) return;  // being signed: it hears what is sent then
  if (!discovery_->OnBack(node, context_->clock->Read())) return;
  // The same signed bytes: a node that did hear them answers once.
  context_->outbox->Send(context_->options.destinations.Node(target_->collective(), node),
                         discover_, nullptr);
  ArmTimer();
}

void Admission::ArmTimer() {
  if (step_ != Step::kDiscovering) return;
  const base::Now now = context_->clock->Read();
  if (discovery_->over(now)) return OnDiscovered();
  const absl::Duration deadline = discovery_->NextDeadline();
  if (deadline == absl::InfiniteDuration()) return;
  timer_.expires_after(deadline - now.steady);
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    auto self = weak.lock();
    if (!error && self != nullptr) self->ArmTimer();
  });
}

void Admission::OnDiscovered() {
  timer_.cancel();
  std::vector<std::string> willing;
  std::vector<JobNodeStart> ended;
  if (discovery_.has_value()) {
    willing = discovery_->Willing();
    ended = discovery_->Declined();
    // A listing tells nothing of those that are hidden, except of whom the roster expected.
    if (admitted_.listing) {
      std::vector<std::string>& expected = whom_.nodes.expected;
      std::sort(expected.begin(), expected.end());
      const auto hidden = [&expected](const JobNodeStart& start) {
        return start.state == orch::v1::NODE_STATE_DENIED &&
               !std::binary_search(expected.begin(), expected.end(), start.node);
      };
      ended.erase(std::remove_if(ended.begin(), ended.end(), hidden), ended.end());
    }
    for (const std::string& node : discovery_->Silent()) {
      ended.push_back(SilentNode(*context_->roster, node,
                                 discovery_->IsAway(node)
                                     ? "not heard since the controller connected to the bus: "
                                       "nothing was sent"
                                     : "did not answer; nothing was sent"));
    }
  }
  absl::flat_hash_set<std::string> known(willing.begin(), willing.end());
  for (const JobNodeStart& start : ended) known.insert(start.node);
  for (JobNodeStart& start : whom_.unable) {
    if (!known.contains(start.node)) ended.push_back(std::move(start));
  }
  whom_.nodes.maybe.clear();
  if (!mutating_) return Ask(std::move(willing), std::move(ended));
  auto list = FreezeList(std::move(willing), std::move(ended));
  if (!list.ok()) return Refuse(list.status());
  Audit(*std::move(list));
}

void Admission::AskAll() {
  Resolved& nodes = whom_.nodes;
  SplitUnable(*context_->roster, action_, &nodes.expected, &whom_.unable);
  SplitUnable(*context_->roster, action_, &nodes.maybe, &whom_.unable);
  std::vector<std::string> willing = std::move(nodes.expected);
  willing.insert(willing.end(), nodes.unknown.begin(), nodes.unknown.end());
  std::sort(willing.begin(), willing.end());
  Ask(std::move(willing), std::move(whom_.unable));
}

void Admission::Ask(std::vector<std::string> willing, std::vector<JobNodeStart> ended) {
  auto list = FreezeList(std::move(willing), std::move(ended));
  if (!list.ok()) return Refuse(list.status());
  if (IsLimited(admitted_)) {
    // Chosen or counted here, so they are named: nobody else answers.
    whom_.nodes.maybe.clear();
    whom_.names = frozen_;
    whom_.audience = Audience::kNamed;
  }
  if (whom_.audience == Audience::kNamed && whom_.names.empty()) {
    whom_.audience = Audience::kNobody;
  }
  if (whom_.audience == Audience::kNobody) return StoreJob(Setup(), *std::move(list), {});
  const std::vector<std::string>& names = whom_.names;
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
  orch::bus::v1::Request request = NewRequest(*context_, target_->collective());
  request.MergeFrom(Template(action_));
  for (const std::string& node : groups[next]) request.add_nodes(node);
  context_->outbox->Sign(
      std::move(request), [weak = weak_from_this(), list, groups = std::move(groups),
                           next](absl::StatusOr<SignedRequest> ready) mutable {
        auto self = weak.lock();
        if (self == nullptr || self->answered()) return;
        if (!ready.ok()) return self->Refuse(base::Annotate(ready.status(), "sign the request"));
        self->parts_.push_back({*std::move(ready), groups[next], groups.size() == 1});
        self->SignNextPart(list, std::move(groups), next + 1);
      });
}

}  // namespace orch::controller
