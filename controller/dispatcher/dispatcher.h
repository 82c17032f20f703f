// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/strand.h"
#include "base/worker.h"
#include "bus/client/bus.h"
#include "controller/admission/admission.h"
#include "controller/audit/audit_sink.h"
#include "controller/context/dispatcher_api.h"
#include "controller/context/dispatcher_context.h"
#include "controller/dispatcher/beacon.h"
#include "controller/dispatcher/job_archive.h"
#include "controller/dispatcher/job_changes.h"
#include "controller/dispatcher/job_shares.h"
#include "controller/dispatcher/pending_keys.h"
#include "controller/dispatcher/refused_log.h"
#include "controller/dispatcher/roster_keeper.h"
#include "controller/mail/inbox.h"
#include "controller/mail/outbox.h"
#include "controller/roster/roster.h"
#include "controller/run/job_run.h"
#include "controller/store/store.h"
#include "trust/identity.h"

namespace orch::controller {

// Replies about ended jobs that are written down in a second.
inline constexpr uint32_t kLatePerSecondMax = 200;

// What the dispatcher is made of.
struct DispatcherParts {
  base::asio::io_context* io;  // its threads open and sign envelopes; outlives the dispatcher
  base::Strand strand;         // the dispatcher's home
  base::Strand bus_strand;     // the client's home; may be the same
  bus::Bus* client;  // not started; outlives the dispatcher, which subscribes and starts it
  std::shared_ptr<trust::Credentials> credentials;
  std::shared_ptr<AuditSink> audit;
  const base::Clock* clock = &base::SystemClock();
  base::Random* random = base::SystemRandom();
  // The store's alone; outlives the dispatcher. Null: the store makes itself a thread.
  base::Worker* store_worker = nullptr;
  // Threads that `io` has, as many as open envelopes at once; 0: as many as the machine has cores.
  int threads = 0;
  std::shared_ptr<StartBudget> start_budget = std::make_shared<UnlimitedStarts>();
};

// The DispatcherApi over a real bus, a store and a roster: who has which job id, and what comes in
// goes where. It guarantees that every reply reaches the one job or admission that it names, or is
// counted; that one idempotency key makes one job, however many come with it at once; and that jobs
// that have not ended when it goes are taken up by the next one on the same store.
//
// Lives on: `parts.strand`. Open and the destructor are called by main before and after the threads
// run; everybody else posts by `port()`.
class Dispatcher : public DispatcherApi, public std::enable_shared_from_this<Dispatcher> {
 public:
  // Opens the store (migrating it forward; FailedPrecondition with the path: a newer schema, or
  // held by another process) and takes the roster and the unfinished jobs from it.
  static absl::StatusOr<std::shared_ptr<Dispatcher>> Open(DispatcherParts parts,
                                                          DispatcherOptions options);
  ~Dispatcher() override;
  Port<Dispatcher> port() { return {parts_.strand, weak_from_this()}; }

  // Subscribes, starts the client, goes on with the unfinished jobs as soon as the bus is there.
  void Start();
  // Takes no more jobs, stops timers and the store after its last commit. Jobs that run stay in the
  // store and are taken up by the next start. The client is stopped by its owner.
  void Stop();
  // The revocation lists changed: nodes are told at once rather than with the next beacon.
  void OnCrlChanged() { beacon_->OnCrlChanged(); }
  DispatcherMetrics Metrics() const;

  void CreateJob(AdmittedJob job, Callback<CreatedJob> done) override;
  void GetJob(std::string id, JobVisibility viewer, Callback<orch::v1::Job> done) override;
  void ListJobs(JobsQuery query, JobVisibility viewer, Callback<JobPage> done) override;
  void ListJobNodes(JobNodesQuery query, JobVisibility viewer, Callback<JobNodePage> done) override;
  void ReadLog(uint64_t reader_id, std::string id, JobVisibility viewer, uint64_t after_sequence,
               size_t bytes_max, Callback<JobLogPart> done) override;
  void ForgetRead(uint64_t reader_id) override;
  void ReadJobChanges(uint64_t reader_id, WatchCursor after,
                      Callback<JobChangesPart> done) override;
  void ChangeJob(JobChangeRequest request, Callback<orch::v1::Job> done) override;
  void SetJudge(JobJudge judge) override;
  void ListNodes(orch::v1::Target target, bool with_facts,
                 Callback<std::vector<orch::v1::Node>> done) override;
  void ExplainTarget(orch::v1::Target target, std::string node,
                     Callback<ExplainedTarget> done) override;
  void GetNode(std::string identity, Callback<orch::v1::Node> done) override;
  void WatchNodes(uint64_t reader_id, orch::v1::Target target, WatchCursor after,
                  std::function<void(NodeChanges)> changed) override;
  DispatcherStatus Status() const override;

 private:
  Dispatcher(DispatcherParts parts, DispatcherOptions options);
  absl::Status OpenStore();
  void Subscribe();
  void OnConnected(bool connected, std::string error);
  void OnBusFailure(std::string error);
  void OnBatch(OpenedBatch batch);
  // The run that it touched, if any.
  JobRun* OnReply(const OpenedReply& opened, base::Now now);
  void OnLateReply(const OpenedReply& opened, base::Now now);
  void OnRefused(const RefusedEnvelope& refused, base::Now now);
  void OnNodeBack(const std::string& node);
  // Tells runs that they have ended: counts, audits and forgets them.
  std::function<void(JobRun*)> OnJobEnded();
  void AddUnderWay(const std::string& rule, absl::flat_hash_set<std::string>* nodes) const;

  // dispatcher_jobs.cc
  absl::Status MayCreate(const AdmittedJob& job) const;
  JobsHeld HeldNow(const std::string& caller) const;
  void FindKey(AdmittedJob job, std::string body_digest, Callback<CreatedJob> done);
  void OnKnownKey(const KnownKey& known, const std::string& body_digest, Callback<CreatedJob> done);
  void Admit(AdmittedJob job, std::string body_digest, Callback<CreatedJob> done);
  // The run of an unfinished job that may be seen.
  absl::StatusOr<std::shared_ptr<JobRun>> FindRun(const std::string& id,
                                                  const JobVisibility& viewer) const;

  DispatcherParts parts_;
  base::Ulids ulids_;  // of jobs
  DispatcherContext context_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<JobArchive> archive_;
  std::shared_ptr<JobChanges> job_changes_;
  std::unique_ptr<Roster> roster_;
  std::shared_ptr<Outbox> outbox_;
  std::shared_ptr<Inbox> inbox_;
  std::shared_ptr<Beacon> beacon_;
  std::shared_ptr<RosterKeeper> keeper_;

  // In order: what all of them are told they are told alike in every process.
  std::map<std::string, std::shared_ptr<JobRun>> runs_;
  std::map<std::string, std::shared_ptr<Admission>> admissions_;
  PendingKeys keys_;
  absl::flat_hash_map<uint64_t, std::string> reading_;  // reader → job where it waits
  RefusedLog refused_log_;
  absl::Duration late_since_;  // steady
  uint32_t late_count_ = 0;
  bool stopping_ = false;
};

}  // namespace orch::controller
