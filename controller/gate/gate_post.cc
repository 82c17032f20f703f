// SPDX-License-Identifier: Apache-2.0
// The gate's front: every method hops to the strand, where gate.cc decides.
#include <google/protobuf/util/time_util.h>

#include <utility>

#include "api/catalog.h"
#include "api/errors.h"
#include "base/log.h"
#include "base/version.h"
#include "controller/gate/gate.h"
#include "controller/gate/gate_errors.h"
#include "controller/gate/validate.h"

namespace orch::controller {

namespace asio = boost::asio;

void Gate::PostSetPolicy(std::shared_ptr<const policy::Policy> policy, std::string origin) {
  asio::post(parts_.strand, [self = shared_from_this(), policy = std::move(policy),
                             origin = std::move(origin)]() mutable {
    self->policy_ = std::move(policy);
    self->TellJudge();
    ++self->counts_->policies_loaded;
    self->counts_->policy_stale = false;
    base::LogInfo("policy loaded", {{"from", origin}});
    orch::v1::AuditRecord record = self->NewRecord({}, "policy", {});
    record.set_decision("allow");
    record.set_reason(std::move(origin));
    self->parts_.audit(std::move(record), [](const absl::Status&) {});
  });
}

void Gate::PostPolicyRefused(std::string why) {
  asio::post(parts_.strand, [self = shared_from_this(), why = std::move(why)]() mutable {
    ++self->counts_->policies_refused;
    self->counts_->policy_stale = true;
    base::LogError("the changed policy is refused; the old one stays in force", {{"why", why}});
    orch::v1::AuditRecord record = self->NewRecord({}, "policy", {});
    record.set_decision("deny");
    record.set_reason(std::move(why));
    self->parts_.audit(std::move(record), [](const absl::Status&) {});
  });
}

void Gate::PostWhoAmI(CallerEvidence who, Callback<orch::v1::WhoAmIResponse> done) {
  asio::post(parts_.strand,
             [self = shared_from_this(), who = std::move(who), done = std::move(done)] {
               const absl::StatusOr<Caller> caller = self->Identify(who);
               if (!caller.ok()) return done(caller.status());
               orch::v1::WhoAmIResponse out;
               out.set_caller(caller->principal);
               for (std::string& group : self->policy_->GroupsOf(caller->principal)) {
                 out.add_groups(std::move(group));
               }
               out.set_controller(self->options_.controller);
               out.set_version(base::kVersion);
               done(std::move(out));
             });
}

void Gate::PostCreateJob(CallerEvidence who, JobRequest request, Callback<CreatedJob> done) {
  asio::post(parts_.strand, [self = shared_from_this(), who = std::move(who),
                             request = std::move(request), done = std::move(done)]() mutable {
    const absl::StatusOr<Caller> caller = self->Identify(who);
    if (!caller.ok()) return done(caller.status());
    const std::string action = api::NameOf(request.spec.action());
    self->Admit(*caller, std::move(request), action, std::move(done));
  });
}

void Gate::PostDiscover(CallerEvidence who, orch::v1::DiscoverNodesRequest request,
                        std::string traceparent, Callback<CreatedJob> done) {
  asio::post(parts_.strand,
             [self = shared_from_this(), who = std::move(who), request = std::move(request),
              traceparent = std::move(traceparent), done = std::move(done)]() mutable {
               const absl::StatusOr<Caller> caller = self->Identify(who);
               if (!caller.ok()) return done(caller.status());
               const absl::Status valid = ValidateDiscovery(self->options_.collectives, &request);
               if (!valid.ok()) return done(valid);
               JobRequest job;
               *job.spec.mutable_target() = std::move(*request.mutable_target());
               *job.spec.mutable_nodes() = std::move(*request.mutable_nodes());
               job.spec.set_pql(std::move(*request.mutable_pql()));
               job.spec.mutable_action()->mutable_node_ping();
               job.traceparent = std::move(traceparent);
               if (google::protobuf::util::TimeUtil::DurationToNanoseconds(request.timeout()) > 0) {
                 *job.spec.mutable_timeout() = std::move(*request.mutable_timeout());
               }
               self->Admit(*caller, std::move(job), "node.list", std::move(done));
             });
}

void Gate::PostChangeJob(CallerEvidence who, JobChange change, std::string job_id,
                         std::string reason, Callback<orch::v1::Job> done) {
  asio::post(parts_.strand, [self = shared_from_this(), who = std::move(who), change,
                             job_id = std::move(job_id), reason = std::move(reason),
                             done = std::move(done)] {
    const absl::StatusOr<Caller> caller = self->Identify(who);
    if (!caller.ok()) return done(caller.status());
    const absl::Status valid = ValidateReason("reason", reason);
    if (!valid.ok()) return done(valid);
    const bool sees = self->Granted(*caller, "job.get") || self->Granted(*caller, "job.cancel");
    auto on_job = [self, caller = *caller, change, reason,
                   done](absl::StatusOr<orch::v1::Job> job) {
      if (!job.ok()) return done(job.status());
      asio::post(self->parts_.strand, [self, caller, change, reason, done, job = *std::move(job)] {
        self->ChangeJob(caller, change, reason, job, done);
      });
    };
    self->parts_.dispatcher.Post([job_id, viewer = JobVisibility{caller->principal, sees},
                                  on_job = std::move(on_job)](DispatcherApi& there) {
      there.GetJob(job_id, viewer, on_job);
    });
  });
}

void Gate::PostVisibility(CallerEvidence who, Callback<JobVisibility> done) {
  asio::post(parts_.strand,
             [self = shared_from_this(), who = std::move(who), done = std::move(done)] {
               const absl::StatusOr<Caller> caller = self->Identify(who);
               if (!caller.ok()) return done(caller.status());
               done(JobVisibility{caller->principal, self->Granted(*caller, "job.get")});
             });
}

void Gate::PostWatch(CallerEvidence who, Callback<Watcher> done) {
  asio::post(parts_.strand, [self = shared_from_this(), who = std::move(who),
                             done = std::move(done)] { done(self->Watch(who)); });
}

void Gate::PostPermit(CallerEvidence who, std::string verb, Callback<Caller> done) {
  asio::post(parts_.strand, [self = shared_from_this(), who = std::move(who),
                             verb = std::move(verb), done = std::move(done)] {
    absl::StatusOr<Caller> caller = self->Identify(who);
    if (!caller.ok()) return done(std::move(caller));
    const absl::Status granted = self->Demand(*caller, verb);
    if (!granted.ok()) return done(granted);
    done(std::move(caller));
  });
}

void Gate::PostListing(CallerEvidence who, orch::v1::Target target, Callback<Listing> done) {
  asio::post(parts_.strand,
             [self = shared_from_this(), who = std::move(who), target = std::move(target),
              done = std::move(done)] { done(self->List(who, target)); });
}

void Gate::PostGetNode(CallerEvidence who, std::string identity, Callback<orch::v1::Node> done) {
  asio::post(parts_.strand, [self = shared_from_this(), who = std::move(who),
                             identity = std::move(identity), done = std::move(done)] {
    const absl::StatusOr<Caller> caller = self->Identify(who);
    if (!caller.ok()) return done(caller.status());
    const absl::Status listing = self->MayListSome(*caller);
    if (!listing.ok()) return done(listing);
    auto on_node = [self, caller = *caller, identity, done](absl::StatusOr<orch::v1::Node> node) {
      // Told apart from a node that may not be seen, its absence would tell of that one.
      if (absl::IsNotFound(node.status())) return done(NoSuchNode(identity));
      if (!node.ok()) return done(std::move(node));
      asio::post(self->parts_.strand, [self, caller, identity, done, node = *std::move(node)] {
        if (self->Sees(caller, node)) return done(node);
        done(NoSuchNode(identity));
      });
    };
    self->parts_.dispatcher.Post([identity, on_node = std::move(on_node)](DispatcherApi& there) {
      there.GetNode(identity, on_node);
    });
  });
}

void Gate::PostExplain(CallerEvidence who, orch::v1::ExplainPolicyRequest question,
                       Callback<Explained> done) {
  asio::post(parts_.strand,
             [self = shared_from_this(), who = std::move(who), question = std::move(question),
              done = std::move(done)] { done(self->Explain(who, question)); });
}

}  // namespace orch::controller
