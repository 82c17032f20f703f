// SPDX-License-Identifier: Apache-2.0

// Every call passes in the same order: who (authenticator.h), is it well-formed (validate), may
// they (Decide), is that on record (Audit), and only then the dispatcher is asked. The order is the
// promise: nothing is published of which the audit does not say that it was permitted. So `then` of
// Audit is the only way to an effect. A denial of a mere question is recorded too, but the caller
// does not wait for it: the answer is the same. A right that is not about nodes (job.cancel,
// policy.read) must not depend on a condition that could deny it, since no node is there to decide
// that.

#include "controller/gate/gate.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/catalog.h"
#include "api/errors.h"
#include "api/names.h"
#include "base/log.h"
#include "base/status.h"
#include "controller/audit/audit_store.h"
#include "controller/gate/gate_errors.h"
#include "controller/gate/node_walk.h"
#include "controller/gate/validate.h"
#include "controller/puppetdb/pql.h"

namespace orch::controller {

namespace asio = boost::asio;
using policy::Decision;
using policy::Effect;

namespace {

constexpr char kListRight[] = "node.list";
// The right to run Puppet without any window.
constexpr char kUnlimitedRight[] = "rollout.unlimited";
// A window of more nodes than this is as good as none.
constexpr uint32_t kConcurrencyMax = 1000;
// The right to have PuppetDB asked: whoever may can find out anything that is in it, by who comes
// back.
constexpr char kPuppetDbRight[] = "puppetdb.query";
// The right to ask for differences of files, and to read them.
constexpr char kDiffRight[] = "job.diff";
// Of a policy that a question brings along.
constexpr size_t kCandidateBytesMax = 1 << 20;
// The right to say for whom one asks.
constexpr char kOnBehalfRight[] = "job.on_behalf_of";

// API verbs are about no node, so a rule that depends on one can't permit them.
bool AllowsOutright(const Decision& decision) {
  return decision.otherwise == Effect::kAllow &&
         std::all_of(
             decision.conditions.begin(), decision.conditions.end(),
             [](const policy::Condition& condition) { return condition.effect == Effect::kAllow; });
}

bool WantsUnlimitedPuppet(const orch::v1::JobSpec& spec) {
  const bool unlimited =
      spec.rollout().unlimited() || spec.rollout().concurrency() > kConcurrencyMax;
  return unlimited && spec.action().has_puppet_run();
}

// What else the spec wants than its own right, and is not granted: that right, and `decision`.
std::string MissingRight(const policy::Policy& policy, const std::string& caller,
                         const orch::v1::JobSpec& spec, Decision* decision) {
  const std::pair<const char*, bool> wanted[] = {
      {kUnlimitedRight, WantsUnlimitedPuppet(spec)},
      {kPuppetDbRight, !spec.pql().empty()},
      {kDiffRight, spec.action().puppet_run().show_diff()},
      {kOnBehalfRight, !spec.on_behalf_of().empty()}};
  for (const auto& [right, wants] : wanted) {
    if (!wants) continue;
    policy::Query query;
    query.caller = caller;
    query.action = right;
    query.collective = spec.target().collective();
    const Decision also = policy.Decide(query);
    if (AllowsOutright(also)) continue;
    *decision = also;
    if (!also.conditions.empty()) {
      decision->reason = DependsOnNodes(right, also);
      decision->rule = also.conditions.front().rule;
    }
    decision->conditions.clear();
    decision->otherwise = Effect::kDeny;
    return right;
  }
  return "";
}

// What the policy says of a job as a whole, whoever asks, and whenever.
Decision JudgeOf(const policy::Policy& policy, const std::string& caller,
                 const orch::v1::JobSpec& spec, bool listing) {
  policy::Query query;
  query.caller = caller;
  query.action = listing ? kListRight : api::NameOf(spec.action());
  // Rules about arguments speak of the action itself, not of the right to discover.
  query.arguments = listing ? nullptr : &spec.action();
  query.collective = spec.target().collective().empty() ? "main" : spec.target().collective();
  query.reason = spec.reason();
  Decision decision = policy.Decide(query);
  if (!decision.denied_outright()) (void)MissingRight(policy, caller, spec, &decision);
  return decision;
}

// A policy that is not in force, from a question about it.
absl::StatusOr<std::shared_ptr<const policy::Policy>> ParseCandidate(const std::string& text) {
  if (text.size() > kCandidateBytesMax) {
    return api::BadField("candidate", absl::StrCat("larger than ", kCandidateBytesMax, " bytes"));
  }
  auto parsed = policy::Policy::ParseNative(text, "candidate");
  if (!parsed.ok()) return api::BadField("candidate", parsed.status().message());
  return parsed;
}

}  // namespace

Gate::Gate(GateParts parts, GateOptions options, std::shared_ptr<const policy::Policy> policy)
    : parts_(std::move(parts)),
      options_(std::move(options)),
      authenticator_(
          parts_.authenticator != nullptr
              ? parts_.authenticator
              : std::make_shared<CertificateAuthenticator>(
                    parts_.credentials, options_.roles, options_.insecure_loopback, parts_.clock)),
      policy_(std::move(policy)) {
  ORCH_CHECK(policy_ != nullptr);
  TellJudge();
}

Decision Gate::Decide(const Caller& caller, const std::string& verb,
                      const std::string& collective) const {
  policy::Query query;
  query.caller = caller.principal;
  query.action = verb;
  query.collective = collective;
  return policy_->Decide(query);
}

// Jobs and the rest are not told apart by collective, so the right must hold in all of them.
bool Gate::Granted(const Caller& caller, const std::string& verb) const {
  return std::all_of(options_.collectives.begin(), options_.collectives.end(),
                     [&](const std::string& collective) {
                       return AllowsOutright(Decide(caller, verb, collective));
                     });
}

orch::v1::AuditRecord Gate::NewRecord(const Caller& caller, const std::string& kind,
                                      const Decision& decision) const {
  orch::v1::AuditRecord record;
  *record.mutable_time() = google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
      absl::ToUnixNanos(parts_.clock->Read().wall));
  record.set_kind(kind);
  record.set_caller(caller.principal);
  record.set_certificate_serial(caller.certificate_serial);
  record.set_peer(caller.peer);
  record.set_decision(decision.denied_outright() ? "deny" : "allow");
  record.set_rule(decision.rule);
  if (!decision.conditions.empty()) record.set_rule(decision.conditions.front().rule);
  return record;
}

template <typename T>
void Gate::Audit(orch::v1::AuditRecord record, Callback<T> done, std::function<void()> then) {
  auto after = [self = shared_from_this(), done = std::move(done),
                then = std::move(then)](const absl::Status& written) {
    asio::post(self->parts_.strand, [written, done, then] {
      if (written.ok()) return then();
      done(AuditUnavailable(written));
    });
  };
  parts_.audit(std::move(record), std::move(after));
}

void Gate::AuditDenial(const Caller& caller, const std::string& verb, const Decision& decision) {
  ++counts_->denied;
  orch::v1::AuditRecord record = NewRecord(caller, "decision", decision);
  record.set_action(verb);
  record.set_decision("deny");
  // The caller is refused whether or not this can be written.
  parts_.audit(std::move(record), [](const absl::Status&) {});
}

absl::Status Gate::Demand(const Caller& caller, const std::string& verb) {
  for (const std::string& collective : options_.collectives) {
    const Decision decision = Decide(caller, verb, collective);
    if (AllowsOutright(decision)) continue;
    AuditDenial(caller, verb, decision);
    return PolicyDenied(caller.principal, verb, decision);
  }
  ++counts_->allowed;
  return absl::OkStatus();
}

absl::StatusOr<Listing> Gate::List(const Caller& caller, orch::v1::Target target) {
  std::string printed;
  ORCH_RETURN_IF_ERROR(ValidateTarget(options_.collectives, "target", &target, &printed));
  Listing out{std::move(target), {}};
  out.decision = Decide(caller, kListRight, out.target.collective());
  if (out.decision.denied_outright()) {
    AuditDenial(caller, kListRight, out.decision);
    return PolicyDenied(caller.principal, kListRight, out.decision);
  }
  ++counts_->allowed;
  return out;
}

absl::Status Gate::MayListSome(const Caller& caller) {
  Decision decision;
  for (const std::string& collective : options_.collectives) {
    decision = Decide(caller, kListRight, collective);
    if (!decision.denied_outright()) return absl::OkStatus();
  }
  AuditDenial(caller, kListRight, decision);
  return PolicyDenied(caller.principal, kListRight, decision);
}

bool Gate::Sees(const Caller& caller, const orch::v1::Node& node) const {
  const target::NodeData view = ViewOf(node);
  return std::any_of(node.collectives().begin(), node.collectives().end(),
                     [&](const std::string& collective) {
                       return MaySee(Decide(caller, kListRight, collective), view);
                     });
}

void Gate::Admit(const Caller& caller, JobRequest request, const std::string& right,
                 Callback<CreatedJob> done) {
  std::string printed;
  std::shared_ptr<const target::Target> target;
  absl::Status valid = ValidateSpec(options_.collectives, &request.spec, &printed, &target);
  if (valid.ok()) valid = ValidateIdempotencyKey(request.idempotency_key);
  if (!valid.ok()) return done(valid);

  policy::Query query;
  query.caller = caller.principal;
  query.action = right;
  // Rules about arguments speak of the action itself, not of the right to discover.
  const bool own_right = right == api::NameOf(request.spec.action());
  query.arguments = own_right ? &request.spec.action() : nullptr;
  query.collective = request.spec.target().collective();
  query.reason = request.spec.reason();
  Decision decision = policy_->Decide(query);
  std::string refused_right = right;
  if (!decision.denied_outright()) {
    const std::string missing = MissingRight(*policy_, caller.principal, request.spec, &decision);
    if (!missing.empty()) refused_right = missing;
  }

  orch::v1::AuditRecord record = NewRecord(caller, "decision", decision);
  orch::v1::Action shown = request.spec.action();
  api::RedactSensitive(&shown);
  record.set_action(api::NameOf(shown));
  record.set_argument_digest(api::ArgumentDigest(shown));
  record.set_arguments(ArgumentsIn(shown));
  record.set_target(TargetText(request.spec, printed));
  record.set_reason(request.spec.reason());
  record.set_on_behalf_of(request.spec.on_behalf_of());
  record.set_validate_only(request.validate_only);
  if (decision.denied_outright()) {
    ++counts_->denied;
    const absl::Status denied = PolicyDenied(caller.principal, refused_right, decision);
    return Audit<CreatedJob>(std::move(record), done, [done, denied] { done(denied); });
  }
  ++counts_->allowed;
  AdmittedJob job;
  job.caller = caller.principal;
  job.spec = std::move(request.spec);
  job.target = std::move(target);
  job.idempotency_key = std::move(request.idempotency_key);
  job.validate_only = request.validate_only;
  job.traceparent = std::move(request.traceparent);
  job.listing = !own_right;
  job.abandoned = std::move(request.abandoned);
  job.decision = std::move(decision);
  if (job.spec.pql().empty()) return Dispatch(std::move(job), std::move(record), std::move(done));
  AskPuppetDb(std::move(job), std::move(record), own_right ? "spec.pql" : "pql", std::move(done));
}

void Gate::Dispatch(AdmittedJob job, orch::v1::AuditRecord record, Callback<CreatedJob> done) {
  Audit<CreatedJob>(
      std::move(record), done, [dispatcher = parts_.dispatcher, job = std::move(job), done] {
        dispatcher.Post([job, done](DispatcherApi& there) { there.CreateJob(job, done); });
      });
}

void Gate::AskPuppetDb(AdmittedJob job, orch::v1::AuditRecord record, std::string field,
                       Callback<CreatedJob> done) {
  if (parts_.puppetdb == nullptr) {
    return OnCertnames(NoPuppetDb(), std::move(job), std::move(record), field, std::move(done));
  }
  std::string pql = job.spec.pql();
  parts_.puppetdb(std::move(pql),
                  [self = shared_from_this(), job = std::move(job), record = std::move(record),
                   field = std::move(field),
                   done = std::move(done)](absl::StatusOr<std::vector<std::string>> certnames) {
                    asio::post(self->parts_.strand,
                               [self, certnames = std::move(certnames), job, record, field, done] {
                                 self->OnCertnames(certnames, job, record, field, done);
                               });
                  });
}

void Gate::OnCertnames(absl::StatusOr<std::vector<std::string>> certnames, AdmittedJob job,
                       orch::v1::AuditRecord record, const std::string& field,
                       Callback<CreatedJob> done) {
  std::string* target = record.mutable_target();
  if (!certnames.ok()) {
    absl::Status failed = certnames.status();
    // PuppetDB's own words about the query are about a field of the request.
    if (absl::IsInvalidArgument(failed)) failed = api::BadField(field, failed.message());
    absl::StrAppend(target, " (PuppetDB gave no names)");
    return Audit<CreatedJob>(std::move(record), done, [done, failed] { done(failed); });
  }
  absl::StrAppend(target, " (PuppetDB gave ", certnames->size(), ")");
  if (job.abandoned != nullptr && *job.abandoned) {
    absl::StrAppend(target, " (the caller had left: no job)");
    return Audit<CreatedJob>(std::move(record), done, [done] {
      done(absl::CancelledError("the caller left before PuppetDB had answered"));
    });
  }
  job.names = NarrowedTo(*certnames, {job.spec.nodes().begin(), job.spec.nodes().end()});
  Dispatch(std::move(job), std::move(record), std::move(done));
}

bool Gate::MayChange(const Caller& caller, JobChange change, const orch::v1::Job& job,
                     std::string* verb, Decision* decision) const {
  const std::string& collective = job.spec().target().collective();
  *verb = "job.cancel";
  *decision = Decide(caller, *verb, collective.empty() ? "main" : collective);
  if (job.caller() != caller.principal && !AllowsOutright(*decision)) return false;
  if (change != JobChange::kResume) return true;
  // The job's caller is judged by the dispatcher, before each of the job's starts.
  const Decision starts = JudgeOf(*policy_, caller.principal, job.spec(), /*listing=*/false);
  if (!starts.denied_outright()) return true;
  *verb = api::NameOf(job.spec().action());
  *decision = starts;
  return false;
}

void Gate::ChangeJob(const Caller& caller, JobChange change, const std::string& reason,
                     const orch::v1::Job& job, Callback<orch::v1::Job> done) {
  std::string verb;
  Decision decision;
  const bool allowed = MayChange(caller, change, job, &verb, &decision);
  orch::v1::AuditRecord record = NewRecord(caller, "decision", decision);
  constexpr const char* kVerbs[] = {"job.cancel", "job.pause", "job.resume"};
  record.set_action(kVerbs[static_cast<int>(change)]);
  record.set_job(job.name());
  record.set_reason(reason);
  record.set_decision(allowed ? "allow" : "deny");
  if (allowed && job.caller() == caller.principal) record.set_rule("own job");
  ++(allowed ? counts_->allowed : counts_->denied);
  if (!allowed) {
    const absl::Status denied = PolicyDenied(caller.principal, verb, decision);
    return Audit<orch::v1::Job>(std::move(record), done, [done, denied] { done(denied); });
  }
  JobChangeRequest request{change, std::string(api::JobIdOf(job.name())), caller.principal, reason};
  Audit<orch::v1::Job>(
      std::move(record), done,
      [dispatcher = parts_.dispatcher, request = std::move(request), done] {
        dispatcher.Post([request, done](DispatcherApi& there) { there.ChangeJob(request, done); });
      });
}

void Gate::TellJudge() {
  JobJudge judge = [policy = policy_](const std::string& caller, const orch::v1::JobSpec& spec,
                                      bool listing) {
    return JudgeOf(*policy, caller, spec, listing);
  };
  parts_.dispatcher.Post(
      [judge = std::move(judge)](DispatcherApi& there) { there.SetJudge(judge); });
}

JobVisibility Gate::VisibilityOf(const Caller& caller) const {
  return {caller.principal, Granted(caller, "job.get"), Granted(caller, kDiffRight)};
}

absl::StatusOr<Watcher> Gate::Watch(const Caller& caller) {
  uint32_t& own = watchers_[caller.principal];
  if (counts_->watchers >= options_.watchers_max || own >= options_.watchers_per_caller_max) {
    const bool by_caller = own >= options_.watchers_per_caller_max;
    if (own == 0) watchers_.erase(caller.principal);
    return TooManyWatchers(by_caller ? options_.watchers_per_caller_max : options_.watchers_max,
                           by_caller);
  }
  ++own;
  ++counts_->watchers;
  auto give_back = [self = shared_from_this(), principal = caller.principal](int* slot) {
    delete slot;
    asio::post(self->parts_.strand, [self, principal] {
      --self->counts_->watchers;
      if (--self->watchers_[principal] == 0) self->watchers_.erase(principal);
    });
  };
  return Watcher{VisibilityOf(caller), std::shared_ptr<int>(new int(0), std::move(give_back))};
}

absl::StatusOr<Explained> Gate::Explain(const Caller& caller,
                                        orch::v1::ExplainPolicyRequest question) {
  ORCH_ASSIGN_OR_RETURN(Explained out, CheckQuestion(options_.collectives, &question));
  if (question.caller().empty()) question.set_caller(caller.principal);
  if (question.caller() != caller.principal || !question.candidate().empty()) {
    ORCH_RETURN_IF_ERROR(Demand(caller, "policy.read"));
  }
  std::shared_ptr<const policy::Policy> decides = policy_;
  if (!question.candidate().empty()) {
    ORCH_ASSIGN_OR_RETURN(decides, ParseCandidate(question.candidate()));
  }
  out.query.caller = question.caller();
  out.query.action = question.action();
  out.query.collective = out.target.collective();
  policy::Query query = out.query;
  if (question.has_arguments()) query.arguments = &question.arguments();
  out.decision = decides->Decide(query);
  out.sees_nodes = Decide(caller, kListRight, out.target.collective());
  return out;
}

}  // namespace orch::controller
