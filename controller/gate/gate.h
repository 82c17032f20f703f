// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/strand.h"
#include "controller/context/dispatcher_api.h"
#include "controller/gate/authenticator.h"
#include "orch/v1/audit_service.pb.h"
#include "orch/v1/node_service.pb.h"
#include "orch/v1/policy_service.pb.h"
#include "policy/policy.h"
#include "trust/identity.h"

namespace orch::controller {

// A job as it was asked for.
struct JobRequest {
  orch::v1::JobSpec spec;
  std::string idempotency_key;
  bool validate_only = false;
  std::string traceparent;
  std::shared_ptr<const std::atomic<bool>> abandoned = {};  // as in AdmittedJob
};

// The permission to list nodes of a target; `decision` may depend on the node.
struct Listing {
  orch::v1::Target target;  // validated
  policy::Decision decision;
};

// The permission to hold a stream open. It counts against the limits until the last copy of `slot`
// is gone.
struct Watcher {
  JobVisibility visibility;
  std::shared_ptr<void> slot;
};

// Why a caller may or may not do something.
struct Explained {
  policy::Query query;          // the question
  policy::Decision decision;    // the answer
  policy::Decision sees_nodes;  // of the asking caller: `node.list`
  orch::v1::Target target;      // validated
};

// Constant after construction.
struct GateOptions {
  std::string controller;  // our own identity
  std::vector<std::string> collectives = {"main"};
  bool insecure_loopback = false;  // callers show no certificate
  std::vector<trust::Role> roles = {trust::Role::kUser};
  uint32_t watchers_max = 1000;
  uint32_t watchers_per_caller_max = 200;
};

// What the gate is made of.
struct GateParts {
  base::Strand strand;  // the gate's home
  DispatcherPort dispatcher;
  std::shared_ptr<trust::Credentials> credentials;         // null only with insecure_loopback
  std::shared_ptr<Authenticator> authenticator = nullptr;  // null: callers are who they are by
                                                           // their certificates
  // Writes an audit record; the callback comes once, from any thread, with OK when it is durable.
  std::function<void(orch::v1::AuditRecord, std::function<void(absl::Status)>)> audit;
  // Which nodes a PQL query names, sorted; the callback comes once, from any thread. Null: no
  // PuppetDB is configured.
  std::function<void(std::string, std::function<void(absl::StatusOr<std::vector<std::string>>)>)>
      puppetdb = nullptr;
  const base::Clock* clock = &base::SystemClock();
};

// Every call passes the gate before the dispatcher hears of it. The gate finds out, in this order,
// who calls, whether the request is well-formed, and whether it is permitted, and then records the
// decision. A job whose decision can't be made durable is refused.
//
// Decisions on jobs and their changes are audited, permitted or not; of reading verbs only the
// refusals are.
//
// Lives on: its strand. Methods may be called from anywhere; callbacks come on the gate's or the
// dispatcher's strand, so callers post on.
class Gate : public std::enable_shared_from_this<Gate> {
 public:
  template <typename T>
  using Callback = std::function<void(absl::StatusOr<T>)>;

  // Figures for metrics.
  struct Counts {
    std::atomic<uint64_t> allowed{0}, denied{0}, unauthenticated{0}, watchers{0};
    std::atomic<uint64_t> policies_loaded{0}, policies_refused{0};
    std::atomic<bool> policy_stale{false};  // the newest file is refused, an older one decides
  };

  Gate(GateParts parts, GateOptions options, std::shared_ptr<const policy::Policy> policy);

  // From now on this policy decides. `origin` is for the audit record of the change.
  void PostSetPolicy(std::shared_ptr<const policy::Policy> policy, std::string origin);
  // A changed policy could not be read; the old one stays in force.
  void PostPolicyRefused(std::string why);

  // Who the caller is, and its groups. This and every following method may fail with
  // Unauthenticated: there is no certificate, or it is refused now (revoked since the handshake).
  void PostWhoAmI(CallerEvidence who, Callback<orch::v1::WhoAmIResponse> done);
  // Takes a job. Errors: InvalidArgument (validate.h), PermissionDenied POLICY_DENIED, Unavailable
  // AUDIT_UNAVAILABLE, and the dispatcher's.
  void PostCreateJob(CallerEvidence who, JobRequest request, Callback<CreatedJob> done);
  // The same for a caller that needs no connection, because it is known already: by a schedule, an
  // approval. Rights and audit are as for any other.
  void PostCreateJobAs(Caller caller, JobRequest request, Callback<CreatedJob> done);
  // A node.ping of the target under the right `node.list`; what the limit says is the caller's.
  // Errors: as PostCreateJob.
  void PostDiscover(CallerEvidence who, orch::v1::DiscoverNodesRequest request,
                    std::string traceparent, Callback<CreatedJob> done);
  // Cancels, pauses, resumes the caller's own job, or with `job.cancel` any. A resume is also
  // judged as the job's action would be now, for who resumes and for the job's caller. NotFound: it
  // may not even be seen.
  void PostChangeJob(CallerEvidence who, JobChange change, std::string job_id, std::string reason,
                     Callback<orch::v1::Job> done);
  // Whose jobs the caller may see.
  void PostVisibility(CallerEvidence who, Callback<JobVisibility> done);
  // Gives the same and a slot for a stream. ResourceExhausted TOO_MANY_WATCHERS with RetryInfo.
  void PostWatch(CallerEvidence who, Callback<Watcher> done);
  // Whether the caller may use a verb that is not about nodes.
  void PostPermit(CallerEvidence who, std::string verb, Callback<Caller> done);
  // Whether the caller may list nodes of the target, which is checked and completed. The decision
  // may have conditions: then it depends on the node.
  void PostListing(CallerEvidence who, orch::v1::Target target, Callback<Listing> done);
  // A node with its facts, if `node.list` lets the caller see it in one of its collectives.
  // NotFound: it does not, or there is no such node.
  void PostGetNode(CallerEvidence who, std::string identity, Callback<orch::v1::Node> done);
  // Explains what a caller may do. PermissionDenied: the question is about another caller, and
  // `policy.read` is not granted.
  void PostExplain(CallerEvidence who, orch::v1::ExplainPolicyRequest question,
                   Callback<Explained> done);

  const Counts& counts() const { return *counts_; }

 private:
  // Calls `then(gate, caller)` on the strand when it is known who calls, or `done` with why not.
  template <typename T, typename Then>
  void WithCaller(CallerEvidence who, Callback<T> done, Then then);
  policy::Decision Decide(const Caller& caller, const std::string& verb,
                          const std::string& collective) const;
  bool Granted(const Caller& caller, const std::string& verb) const;
  // PermissionDenied, audited, unless Granted.
  absl::Status Demand(const Caller& caller, const std::string& verb);
  absl::StatusOr<Listing> List(const Caller& caller, orch::v1::Target target);
  // PermissionDenied, audited, if the caller may list nodes in no collective.
  absl::Status MayListSome(const Caller& caller);
  bool Sees(const Caller& caller, const orch::v1::Node& node) const;
  absl::StatusOr<Explained> Explain(const Caller& caller, orch::v1::ExplainPolicyRequest question);
  absl::StatusOr<Watcher> Watch(const Caller& caller);
  JobVisibility VisibilityOf(const Caller& caller) const;
  void Admit(const Caller& caller, JobRequest request, const std::string& right,
             Callback<CreatedJob> done);
  // Asks PuppetDB, then goes on as without a query, but with its names; not at all if the caller
  // has left meanwhile without having heard of a job.
  void AskPuppetDb(AdmittedJob job, orch::v1::AuditRecord record, std::string field,
                   Callback<CreatedJob> done);
  void OnCertnames(absl::StatusOr<std::vector<std::string>> certnames, AdmittedJob job,
                   orch::v1::AuditRecord record, const std::string& field,
                   Callback<CreatedJob> done);
  void Dispatch(AdmittedJob job, orch::v1::AuditRecord record, Callback<CreatedJob> done);
  void ChangeJob(const Caller& caller, JobChange change, const std::string& reason,
                 const orch::v1::Job& job, Callback<orch::v1::Job> done);
  // Who changes a job that is not the caller's own needs `job.cancel`; who resumes one starts
  // nodes, and needs the right of its action as well. What is not granted makes `*decision` a
  // denial and
  // `*verb` its name.
  bool MayChange(const Caller& caller, JobChange change, const orch::v1::Job& job,
                 std::string* verb, policy::Decision* decision) const;
  // The dispatcher judges by the policy in force now.
  void TellJudge();
  // Writes the record, then calls `then` on the strand, or `done` with why not.
  template <typename T>
  void Audit(orch::v1::AuditRecord record, Callback<T> done, std::function<void()> then);
  void AuditDenial(const Caller& caller, const std::string& verb, const policy::Decision& decision);
  orch::v1::AuditRecord NewRecord(const Caller& caller, const std::string& kind,
                                  const policy::Decision& decision) const;

  const GateParts parts_;
  const GateOptions options_;
  const std::shared_ptr<Authenticator> authenticator_;
  const std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();

  // On the strand only.
  std::shared_ptr<const policy::Policy> policy_;
  std::string policy_refused_why_;  // of the newest file, while an older one decides
  absl::flat_hash_map<std::string, uint32_t> watchers_;  // by principal
};

}  // namespace orch::controller
