// SPDX-License-Identifier: Apache-2.0
// The gate's front: every method hops to the strand, where gate.cc decides.
#include <google/protobuf/util/time_util.h>

#include <utility>

#include "absl/strings/str_cat.h"
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
    self->policy_refused_why_ = why;
    base::LogError("the changed policy is refused; the old one stays in force", {{"why", why}});
    orch::v1::AuditRecord record = self->NewRecord({}, "policy", {});
    record.set_decision("deny");
    record.set_reason(std::move(why));
    self->parts_.audit(std::move(record), [](const absl::Status&) {});
  });
}

template <typename T, typename Then>
void Gate::WithCaller(CallerEvidence who, Callback<T> done, Then then) {
  asio::post(parts_.strand, [self = shared_from_this(), who = std::move(who),
                             done = std::move(done), then = std::move(then)] {
    self->authenticator_->Authenticate(who, [self, done, then](absl::StatusOr<Caller> caller) {
      // The authenticator may answer from any thread.
      asio::post(self->parts_.strand, [self, done, then, caller = std::move(caller)] {
        if (caller.ok()) return then(self, *caller);
        ++self->counts_->unauthenticated;
        done(caller.status());
      });
    });
  });
}

namespace {

void AddProblems(const DispatcherStatus& status, orch::v1::WhoAmIResponse* out) {
  if (!status.bus_connected) {
    out->add_problems(
        absl::StrCat("not connected to the message bus since ",
                     absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", status.bus_since, absl::UTCTimeZone()),
                     ": ", status.bus_error));
  }
  if (!status.store_ok) out->add_problems("the store can't be written: jobs are refused");
}

}  // namespace

void Gate::PostWhoAmI(CallerEvidence who, Callback<orch::v1::WhoAmIResponse> done) {
  WithCaller(std::move(who), done, [done](const std::shared_ptr<Gate>& self, const Caller& caller) {
    orch::v1::WhoAmIResponse out;
    out.set_caller(caller.principal);
    for (std::string& group : self->policy_->GroupsOf(caller.principal)) {
      out.add_groups(std::move(group));
    }
    out.set_controller(self->options_.controller);
    out.set_version(base::kVersion);
    if (!self->Granted(caller, "policy.read")) return done(std::move(out));
    if (self->counts_->policy_stale) {
      out.add_problems(absl::StrCat("the changed policy is refused, an older one decides: ",
                                    self->policy_refused_why_));
    }
    self->parts_.dispatcher.Post([out = std::move(out), done](DispatcherApi& there) {
      orch::v1::WhoAmIResponse answer = out;
      AddProblems(there.Status(), &answer);
      done(std::move(answer));
    });
  });
}

void Gate::PostCreateJob(CallerEvidence who, JobRequest request, Callback<CreatedJob> done) {
  WithCaller(std::move(who), done,
             [request = std::move(request), done](const std::shared_ptr<Gate>& self,
                                                  const Caller& caller) {
               self->Admit(caller, request, api::NameOf(request.spec.action()), done);
             });
}

void Gate::PostCreateJobAs(Caller caller, JobRequest request, Callback<CreatedJob> done) {
  asio::post(parts_.strand, [self = shared_from_this(), caller = std::move(caller),
                             request = std::move(request), done = std::move(done)] {
    self->Admit(caller, request, api::NameOf(request.spec.action()), done);
  });
}

void Gate::PostDiscover(CallerEvidence who, orch::v1::DiscoverNodesRequest request,
                        std::string traceparent, Callback<CreatedJob> done) {
  WithCaller(std::move(who), done,
             [asked = std::move(request), traceparent = std::move(traceparent), done](
                 const std::shared_ptr<Gate>& self, const Caller& caller) {
               orch::v1::DiscoverNodesRequest request = asked;
               const absl::Status valid = ValidateDiscovery(self->options_.collectives, &request);
               if (!valid.ok()) return done(valid);
               JobRequest job;
               *job.spec.mutable_target() = std::move(*request.mutable_target());
               *job.spec.mutable_nodes() = std::move(*request.mutable_nodes());
               job.spec.set_pql(std::move(*request.mutable_pql()));
               job.spec.mutable_action()->mutable_node_ping();
               job.traceparent = traceparent;
               if (google::protobuf::util::TimeUtil::DurationToNanoseconds(request.timeout()) > 0) {
                 *job.spec.mutable_timeout() = std::move(*request.mutable_timeout());
               }
               self->Admit(caller, std::move(job), "node.list", done);
             });
}

void Gate::PostChangeJob(CallerEvidence who, JobChange change, std::string job_id,
                         std::string reason, Callback<orch::v1::Job> done) {
  WithCaller(
      std::move(who), done,
      [change, job_id = std::move(job_id), reason = std::move(reason), done](
          const std::shared_ptr<Gate>& self, const Caller& caller) {
        const absl::Status valid = ValidateReason("reason", reason);
        if (!valid.ok()) return done(valid);
        const bool sees = self->Granted(caller, "job.get") || self->Granted(caller, "job.cancel");
        auto on_job = [self, caller, change, reason, done](absl::StatusOr<orch::v1::Job> job) {
          if (!job.ok()) return done(job.status());
          asio::post(self->parts_.strand,
                     [self, caller, change, reason, done, job = *std::move(job)] {
                       self->ChangeJob(caller, change, reason, job, done);
                     });
        };
        self->parts_.dispatcher.Post([job_id, viewer = JobVisibility{caller.principal, sees},
                                      on_job = std::move(on_job)](DispatcherApi& there) {
          there.GetJob(job_id, viewer, on_job);
        });
      });
}

void Gate::PostVisibility(CallerEvidence who, Callback<JobVisibility> done) {
  WithCaller(std::move(who), done, [done](const std::shared_ptr<Gate>& self, const Caller& caller) {
    done(self->VisibilityOf(caller));
  });
}

void Gate::PostWatch(CallerEvidence who, Callback<Watcher> done) {
  WithCaller(std::move(who), done, [done](const std::shared_ptr<Gate>& self, const Caller& caller) {
    done(self->Watch(caller));
  });
}

void Gate::PostPermit(CallerEvidence who, std::string verb, Callback<Caller> done) {
  WithCaller(
      std::move(who), done,
      [verb = std::move(verb), done](const std::shared_ptr<Gate>& self, const Caller& caller) {
        const absl::Status granted = self->Demand(caller, verb);
        if (!granted.ok()) return done(granted);
        done(caller);
      });
}

void Gate::PostListing(CallerEvidence who, orch::v1::Target target, Callback<Listing> done) {
  WithCaller(
      std::move(who), done,
      [target = std::move(target), done](const std::shared_ptr<Gate>& self, const Caller& caller) {
        done(self->List(caller, target));
      });
}

void Gate::PostGetNode(CallerEvidence who, std::string identity, Callback<orch::v1::Node> done) {
  WithCaller(std::move(who), done,
             [identity = std::move(identity), done](const std::shared_ptr<Gate>& self,
                                                    const Caller& caller) {
               const absl::Status listing = self->MayListSome(caller);
               if (!listing.ok()) return done(listing);
               auto on_node = [self, caller, identity, done](absl::StatusOr<orch::v1::Node> node) {
                 // Told apart from a node that may not be seen, its absence would tell of that one.
                 if (absl::IsNotFound(node.status())) return done(NoSuchNode(identity));
                 if (!node.ok()) return done(std::move(node));
                 asio::post(self->parts_.strand,
                            [self, caller, identity, done, node = *std::move(node)] {
                              if (self->Sees(caller, node)) return done(node);
                              done(NoSuchNode(identity));
                            });
               };
               self->parts_.dispatcher.Post(
                   [identity, on_node = std::move(on_node)](DispatcherApi& there) {
                     there.GetNode(identity, on_node);
                   });
             });
}

void Gate::PostExplain(CallerEvidence who, orch::v1::ExplainPolicyRequest question,
                       Callback<Explained> done) {
  WithCaller(std::move(who), done,
             [question = std::move(question), done](const std::shared_ptr<Gate>& self,
                                                    const Caller& caller) {
               done(self->Explain(caller, question));
             });
}

}  // namespace orch::controller
