// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "base/strand.h"
#include "base/timer.h"
#include "base/traceparent.h"
#include "controller/context/dispatcher_api.h"
#include "controller/context/dispatcher_context.h"
#include "controller/job/job.h"
#include "controller/job/job_log.h"
#include "controller/mail/inbox.h"
#include "controller/mail/outbox.h"
#include "controller/store/store_rows.h"

namespace orch::controller {

// Nodes named in one directed request (docs/design.md).
inline constexpr size_t kBatchNodesMax = 500;
// The bus may be away for so long before nodes that wait for their start are given up.
inline constexpr absl::Duration kBusStallMax = absl::Minutes(5);
// A request that would be void so soon is not published any more.
inline constexpr absl::Duration kPublishMargin = absl::Seconds(5);
// After a (re)connect nodes that owe an answer are asked again after this time, then at doubling
// intervals.
inline constexpr absl::Duration kNudgeFirst = absl::Seconds(2);
inline constexpr absl::Duration kNudgeInterval = absl::Minutes(5);
// Result queries whose digest is remembered.
inline constexpr size_t kQueriesKept = 1000;
// Calls that wait for news of one job.
inline constexpr size_t kReadersMax = 10'000;

// A signed request of a read-only job and to whom it goes.
struct JobRequestPart {
  SignedRequest request;
  std::vector<std::string> nodes;  // that may answer; sorted; empty: whoever matches
  bool broadcast = false;          // on the request topic, else to each of `nodes`
};

// One job under way: carries what the pure Job decides to the bus and the store, and what nodes say
// to the Job. Every input ends in Flush: changes to the store, starts to the bus, the timer set.
//
// Lives on: the dispatcher's strand. Owned by the dispatcher until `on_over`.
class JobRun : public std::enable_shared_from_this<JobRun> {
 public:
  // `stored` as it is (or will be) in the store; `request` is the template with its secrets.
  // `on_over`: ended, and durable.
  JobRun(DispatcherContext* context, std::unique_ptr<Job> job, orch::bus::v1::Request request,
         bool sensitive, std::function<void(JobRun*)> on_over);
  // Of a job that the store kept.
  static std::shared_ptr<JobRun> Restore(DispatcherContext* context, UnfinishedJob stored,
                                         std::function<void(JobRun*)> on_over);

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

  using ReadDone = DispatcherApi::Callback<JobLogPart>;
  void Read(uint64_t reader_id, uint64_t after_sequence, size_t bytes_max, ReadDone done);
  void ForgetRead(uint64_t reader_id) { readers_.erase(reader_id); }
  using JobDone = DispatcherApi::Callback<orch::v1::Job>;
  // Answer when durable.
  void Cancel(const std::string& caller, const std::string& reason, JobDone done);
  void Pause(const std::string& caller, JobDone done);
  void Resume(const std::string& caller, JobDone done);

  const std::string& id() const { return job_->setup().id; }
  const std::string& caller() const { return job_->setup().caller; }
  // Our span of the caller's trace; none if the caller has none.
  const base::Traceparent& trace() const { return trace_; }
  // As of the last durable event.
  orch::v1::Job Visible() const;

 private:
  struct SentRequest {
    std::string digest;
    std::shared_ptr<const std::string> envelope;  // null: can't be published again
    std::vector<std::string> nodes;
    absl::Time expires;
    // Steady; infinitely long ago: by an earlier process.
    absl::Duration published = -absl::InfiniteDuration();
  };
  struct Reader {
    uint64_t after;
    size_t bytes_max;
    ReadDone done;
  };

  base::Now Now() const { return context_->clock->Read(); }
  // job_publish.cc
  void StartNodes();
  void StoreBatch(std::vector<std::string> nodes, SignedRequest request);
  void Publish(const std::vector<std::string>& nodes, SignedRequest request);
  void PublishParts();
  void PublishAgain();
  // Of the first kPublishedLoggedMax at level info, of further ones at debug.
  void LogPublished(const std::string& request_id, size_t nodes);
  void OnFirstSent();
  void Measure(const orch::bus::v1::Reply& reply, base::Now now);
  void SendToNode(const std::string& node, const SignedRequest& request);
  void GiveUp(const std::vector<std::string>& nodes, const std::string& why);
  // To the whole collective.
  void SendCancel();
  // Calls `send` with a signed cancel that is worth sending: at once, or when it is signed.
  void WithCancel(std::function<void(const SignedRequest&)> send);
  std::string NodeDestination(const std::string& node) const;
  // Whether a request that is void then is still worth sending.
  bool WorthSending(absl::Time expires) const;
  // job_nudge.cc: asks those again that owe an answer; `only` (may be null) limits it to some
  // nodes.
  void Nudge(const absl::flat_hash_set<std::string>* only);
  void NudgeRequest(const std::string& request_id, SentRequest* sent,
                    const absl::flat_hash_set<std::string>* only, base::Now now);
  void Republish(const std::string& request_id, const SentRequest& sent,
                 const std::vector<std::string>& nodes);
  void QueryResults(const std::string& request_id, const std::vector<std::string>& nodes);
  bool IsOurs(const OpenedReply& opened) const;

  void OnTimer();
  void OnExpiries(base::Now now);
  void ArmTimer();
  void OnDurable(uint64_t sequence, orch::v1::Job visible);
  void AnswerReader(Reader reader);
  void AnswerWhenDurable(JobDone done);
  absl::Status CheckReadable(uint64_t after_sequence) const;

  DispatcherContext* const context_;
  const std::unique_ptr<Job> job_;
  const orch::bus::v1::Request request_;
  const base::Traceparent trace_;
  const bool sensitive_;
  const std::function<void(JobRun*)> on_over_;
  bool restored_ = false;
  bool publish_again_ = false;  // what a read-only job asks is to be sent (again)
  bool stopped_ = false;
  bool over_ = false;
  bool flush_posted_ = false;

  JobLog log_;
  orch::v1::Job visible_;  // without spec
  std::map<uint64_t, Reader> readers_;
  std::deque<std::pair<uint64_t, std::function<void()>>> when_durable_;

  std::vector<JobRequestPart> parts_;  // to be published when stored
  size_t parts_under_way_ = 0;
  bool preparing_ = false;  // a batch is being signed or stored
  bool cancel_sent_ = false;
  SignedRequest cancel_;                                                // the last one
  std::vector<std::function<void(const SignedRequest&)>> want_cancel_;  // until it is signed
  bool first_sent_ = false;                                             // and measured
  int published_ = 0;                                                   // requests that were logged
  std::map<std::string, SentRequest> requests_;
  std::deque<std::pair<absl::Time, std::string>> expiring_;  // requests not void yet, by expiry
  std::deque<std::string> query_digests_;

  base::Timer timer_;
  absl::Duration nudge_at_ = absl::InfiniteDuration();
  absl::Duration nudge_interval_ = kNudgeFirst;
  absl::flat_hash_set<std::string> back_;  // nodes to be nudged alone
  absl::Duration back_at_ = absl::InfiniteDuration();
  absl::Duration stalled_since_ = absl::InfiniteDuration();
};

}  // namespace orch::controller
