// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "base/strand.h"
#include "base/telemetry/traceparent.h"
#include "base/timer.h"
#include "controller/context/dispatcher_api.h"
#include "controller/context/dispatcher_context.h"
#include "controller/job/job.h"
#include "controller/mail/inbox.h"
#include "controller/mail/outbox.h"
#include "controller/run/job_cancel.h"
#include "controller/run/log_readers.h"
#include "controller/run/sent_requests.h"
#include "controller/store/store_rows.h"

namespace orch::controller {

// Nodes named in one directed request (docs/design.md).
inline constexpr size_t kBatchNodesMax = 500;
// The bus may be away for so long before nodes that wait for their start are given up.
inline constexpr absl::Duration kBusStallMax = absl::Minutes(5);
// After a (re)connect nodes that owe an answer are asked again after this time, then at doubling
// intervals.
inline constexpr absl::Duration kNudgeFirst = absl::Seconds(2);
inline constexpr absl::Duration kNudgeInterval = absl::Minutes(5);

// A signed request of a read-only job and to whom it goes.
struct JobRequestPart {
  SignedRequest request;
  std::vector<std::string> nodes;  // that may answer; sorted; empty: whoever matches
  bool broadcast = false;          // on the request topic, else to each of `nodes`
};

// How many names a job carries, and what they take: what a caller's share is counted in.
struct NamesHeld {
  size_t names = 0;
  size_t bytes = 0;
};
NamesHeld NamesIn(const orch::v1::JobSpec& spec);

// The conditions under which nodes may do what a request asks, as the policy decided.
void SetConditions(const policy::Decision& decision, orch::bus::v1::Request* request);

// A request as the store keeps it.
StoredRequest ToStored(const SignedRequest& request, const std::vector<std::string>& nodes,
                       bool with_bytes);

// One job under way: carries what the pure Job decides to the bus and the store, and what nodes say
// to the Job. It guarantees that nothing is published before it is durable, that a node is started
// only while the policy in force lets the job's caller do what the job does, and within the start
// budget; and that every input ends in Flush: changes to the store, starts to the bus, the timer
// set.
//
// Lives on: the dispatcher's strand. Owned by the dispatcher until `on_ended`.
class JobRun : public std::enable_shared_from_this<JobRun> {
 public:
  // `stored` as it is (or will be) in the store; `request` is the template with its secrets.
  // `on_ended`: ended, and durable.
  JobRun(DispatcherContext* context, std::unique_ptr<Job> job, orch::bus::v1::Request request,
         bool sensitive, std::function<void(JobRun*)> on_ended);
  // Of a job that the store kept.
  static std::shared_ptr<JobRun> Restore(DispatcherContext* context, UnfinishedJob stored,
                                         std::function<void(JobRun*)> on_ended);

  // A new job: what to store before anything is published; `parts` (read-only jobs) go out
  // afterwards.
  StoreWrite TakeFirstWrite(StoredJob record, std::vector<JobRequestPart> parts);
  // It is stored: published and visible from here on.
  void OnStored();

  // A verified reply with our job id; checked here against what was sent to whom.
  void OnReply(const OpenedReply& opened, base::Now now);
  void OnBusChange(bool connected);
  // The node is back, or started anew.
  void OnNodeBack(const std::string& node);
  void Flush();
  // The same, once for all that is waiting on the strand by now.
  void FlushSoon();
  void Stop();

  LogReaders& readers() { return readers_; }
  void Read(uint64_t reader_id, uint64_t after_sequence, size_t bytes_max,
            LogReaders::ReadDone done) {
    readers_.Read(reader_id, after_sequence, job_->last_sequence(), bytes_max, std::move(done));
  }
  using JobDone = DispatcherApi::Callback<orch::v1::Job>;
  // Answers when durable. PermissionDenied: a resume that the policy no longer permits.
  void Change(const JobChangeRequest& request, JobDone done);

  const std::string& id() const { return job_->setup().id; }
  const std::string& caller() const { return job_->setup().caller; }
  const Job& job() const { return *job_; }
  const NamesHeld& names_held() const { return names_held_; }
  // Our span of the caller's trace; none if the caller has none.
  const base::Traceparent& trace() const { return trace_; }
  // As of the last durable event.
  orch::v1::Job Visible() const { return readers_.WithSpec(); }

 private:
  base::Now Now() const { return context_->clock->Read(); }
  // job_start.cc: starts nodes of a mutating job.
  void StartNodes();
  // OK: the job's caller may do now what the job does; what the decision says goes into requests.
  absl::Status JudgeAgain();
  NodeStart StartOf(const std::string& node) const;
  void StoreBatch(std::vector<std::string> nodes, SignedRequest request);
  void Publish(const std::vector<std::string>& nodes, SignedRequest request);
  void GiveUp(const std::vector<std::string>& nodes, const std::string& why);
  void TellBudget(const std::vector<StartedNodeEnd>& ends);
  // job_publish.cc: sends.
  void PublishParts();
  void PublishAgain();
  // Of the first kPublishedLoggedMax at level info, of further ones at debug.
  void LogPublished(const std::string& request_id, size_t nodes);
  void OnFirstSent();
  void SendToNode(const std::string& node, const SignedRequest& request);
  // To the whole collective.
  void SendCancel();
  std::string NodeDestination(const std::string& node) const;
  // job_nudge.cc: takes replies, and asks those again that owe an answer; `only` (may be null)
  // limits it to some nodes.
  void Measure(const orch::bus::v1::Reply& reply, base::Now now);
  void Nudge(const absl::flat_hash_set<std::string>* only);
  void AskOwed(const SentRequests::Owed& owed);
  void Republish(const SentRequest& sent, const std::vector<std::string>& nodes);
  void QueryResults(const std::string& request_id, const std::vector<std::string>& nodes);

  void OnTimer();
  void ArmTimer();
  void OnDurable(orch::v1::Job visible);

  DispatcherContext* const context_;
  const std::unique_ptr<Job> job_;
  orch::bus::v1::Request request_;
  const base::Traceparent trace_;
  const bool sensitive_;
  const NamesHeld names_held_;
  const std::function<void(JobRun*)> on_ended_;
  bool restored_ = false;
  bool publish_again_ = false;  // what a read-only job asks is to be sent (again)
  bool stopped_ = false;
  bool told_end_ = false;  // on_ended_ was called
  bool flush_posted_ = false;

  LogReaders readers_;
  orch::v1::Job first_visible_;  // once it is stored
  SentRequests sent_;

  std::vector<JobRequestPart> parts_;  // to be published when stored
  size_t parts_under_way_ = 0;
  bool preparing_ = false;     // a batch is being signed or stored
  uint64_t judge_number_ = 0;  // of the judge whose decision request_ carries
  bool cancel_sent_ = false;
  std::shared_ptr<JobCancel> cancel_;
  bool first_sent_ = false;  // and measured
  int published_ = 0;        // requests that were logged

  base::Timer timer_;
  absl::Duration nudge_at_ = absl::InfiniteDuration();
  absl::Duration nudge_interval_ = kNudgeFirst;
  absl::flat_hash_set<std::string> back_;  // nodes to be nudged alone
  absl::Duration nudge_back_at_ = absl::InfiniteDuration();
  absl::Duration stalled_since_ = absl::InfiniteDuration();
};

}  // namespace orch::controller
