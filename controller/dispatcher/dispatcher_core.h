// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/ids.h"
#include "base/log.h"
#include "controller/admission/admission.h"
#include "controller/context/dispatcher_context.h"
#include "controller/dispatcher/beacon.h"
#include "controller/dispatcher/dispatcher.h"
#include "controller/dispatcher/roster_keeper.h"
#include "controller/mail/inbox.h"
#include "controller/mail/outbox.h"
#include "controller/roster/roster.h"
#include "controller/run/job_run.h"
#include "controller/store/store.h"

namespace orch::controller {

// Callers that wait for the first use of an idempotency key to be decided.
inline constexpr size_t kKeyWaitersMax = 1000;
// One caller may have this part of `jobs.running_max` at a time, but at least so many; another part
// is kept for jobs that change something.
inline constexpr size_t kCallerShare = 4;
inline constexpr size_t kCallerJobsMin = 8;
inline constexpr size_t kChangesShare = 10;
// Replies about ended jobs that are written down in a second.
inline constexpr uint32_t kLatePerSecondMax = 200;
// Keys of certificates whose bad envelopes are counted one by one.
inline constexpr size_t kBadKeysMax = 1000;

// The dispatcher's inside: who has which job id, and what comes in goes where.
//
// Lives on: the dispatcher's strand. Constructed, and its stored jobs taken up, before the threads
// run.
class Dispatcher::Core : public std::enable_shared_from_this<Dispatcher::Core> {
 public:
  Core(DispatcherParts parts, DispatcherOptions options);
  ~Core();
  // Opens the store and takes the roster and the unfinished jobs from it.
  absl::Status Open();
  void Start();
  void Stop(std::function<void()> done);

  void CreateJob(AdmittedJob job, Callback<CreatedJob> done);
  void GetJob(std::string id, JobVisibility who, Callback<orch::v1::Job> done);
  void ListJobs(JobVisibility who, int page_size, std::string page_token,
                std::vector<orch::v1::JobState> states, std::string caller, Callback<JobPage> done);
  void ListJobNodes(std::string id, JobVisibility who, int page_size, std::string page_token,
                    std::vector<orch::v1::NodeState> states, Callback<JobNodePage> done);
  void ReadLog(uint64_t reader_id, std::string id, JobVisibility who, uint64_t after_sequence,
               size_t bytes_max, Callback<JobLogPart> done);
  void ForgetRead(uint64_t reader_id);
  enum class Change { kCancel, kPause, kResume };
  void ChangeJob(Change change, std::string id, std::string caller, std::string reason,
                 Callback<orch::v1::Job> done);
  void ExplainTarget(const orch::v1::Target& target, const std::string& node,
                     Callback<ExplainedTarget> done);
  void ListNodes(orch::v1::Target target, bool with_facts,
                 Callback<std::vector<orch::v1::Node>> done);
  void GetNode(std::string identity, Callback<orch::v1::Node> done);
  void WatchNodes(uint64_t reader_id, orch::v1::Target target,
                  std::function<void(std::vector<orch::v1::Node>)> changed);
  DispatcherStatus Status() const;
  DispatcherMetrics Metrics() const;
  void OnCrlChanged() { beacon_->OnCrlChanged(); }

  const base::Strand& strand() const { return context_.strand; }

 private:
  // Callers with one idempotency key while its first use is not decided.
  struct PendingKey {
    std::string body_digest;
    std::vector<Callback<CreatedJob>> waiters;
  };

  void OnConnected(bool connected, std::string error);
  void OnBusFailure(std::string error);
  void OnBatch(OpenedBatch batch);
  // The run that it touched, if any.
  JobRun* OnReply(const OpenedReply& opened, base::Now now);
  void OnLateReply(const OpenedReply& opened, base::Now now);
  void OnRefused(const RefusedEnvelope& refused, base::Now now);
  void OnNodeBack(const std::string& node);
  std::function<void(JobRun*)> OnOver();

  // core_jobs.cc
  absl::Status MayCreate(const AdmittedJob& job) const;
  absl::Status HasSlot(const AdmittedJob& job) const;
  void FindKey(AdmittedJob job, std::string body_digest, Callback<CreatedJob> done);
  void OnKnownKey(const KnownKey& known, const std::string& body_digest, Callback<CreatedJob> done);
  void Admit(AdmittedJob job, std::string body_digest, Callback<CreatedJob> done);
  // The run of an unfinished job that may be seen.
  absl::StatusOr<std::shared_ptr<JobRun>> FindRun(const std::string& id,
                                                  const JobVisibility& who) const;
  bool IsRunning(const std::string& id) const { return runs_.contains(id); }

  DispatcherParts parts_;
  base::Ulids ulids_;
  DispatcherContext context_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Roster> roster_;
  std::shared_ptr<Outbox> outbox_;
  std::shared_ptr<Inbox> inbox_;
  std::shared_ptr<Beacon> beacon_;
  std::shared_ptr<RosterKeeper> keeper_;

  // In order: what all of them are told they are told alike in every process.
  std::map<std::string, std::shared_ptr<JobRun>> runs_;
  std::map<std::string, std::shared_ptr<Admission>> admissions_;
  absl::flat_hash_map<std::pair<std::string, std::string>, PendingKey> keys_;  // caller, key
  absl::flat_hash_map<uint64_t, std::string> reading_;  // reader → job where it waits
  absl::flat_hash_map<std::string, uint64_t> bad_keys_;
  base::LogLimiter limiter_;
  absl::Duration late_since_;  // steady
  uint32_t late_count_ = 0;
  bool stopping_ = false;
};

// NotFound JOB_NOT_FOUND: the same whether there is none or it may not be seen.
absl::Status NoSuchJob(const std::string& id);
bool MaySee(const JobVisibility& who, const std::string& caller);

}  // namespace orch::controller
