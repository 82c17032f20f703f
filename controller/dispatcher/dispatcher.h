// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/strand.h"
#include "base/worker.h"
#include "bus/client/bus.h"
#include "controller/audit/audit_sink.h"
#include "controller/context/dispatcher_api.h"
#include "controller/context/dispatcher_options.h"
#include "controller/context/metrics.h"
#include "trust/identity.h"

namespace orch::controller {

// What the dispatcher is made of.
struct DispatcherParts {
  boost::asio::io_context* io;  // its threads open and sign envelopes; outlives the dispatcher
  base::Strand strand;          // the dispatcher's home
  base::Strand bus_strand;      // the client's home; may be the same
  bus::Bus* client;  // not started; outlives the dispatcher, which subscribes and starts it
  std::shared_ptr<trust::Credentials> credentials;
  std::shared_ptr<AuditSink> audit;
  const base::Clock* clock = &base::SystemClock();
  base::Random* random = base::SystemRandom();
  // The store's; outlives the dispatcher. Null: the store makes itself a thread.
  base::Worker* store_worker = nullptr;
  // Threads that `io` has, as many as open envelopes at once; 0: as many as the machine has cores.
  int threads = 0;
};

// The DispatcherApi over a real bus, a store and a roster.
//
// Lives on: `parts.strand`; Open, Start and the destructor are called by main before and after the
// threads run.
class Dispatcher : public DispatcherApi {
 public:
  // Opens the store (migrating it forward; FailedPrecondition with the path: a newer schema, or
  // held by another process) and takes the roster and the unfinished jobs from it.
  static absl::StatusOr<std::unique_ptr<Dispatcher>> Open(DispatcherParts parts,
                                                          DispatcherOptions options);
  ~Dispatcher() override;

  // Subscribes, starts the client, goes on with the unfinished jobs as soon as the bus is there.
  void Start();
  // Takes no more jobs, stops timers and the store after its last commit; `done` comes once, on the
  // dispatcher's strand. Jobs that run stay in the store and are taken up by the next start. The
  // client is stopped by its owner.
  void PostStop(std::function<void()> done);
  // The revocation lists changed: nodes are told at once rather than with the next beacon.
  void PostCrlChanged();
  void PostMetrics(std::function<void(DispatcherMetrics)> done);

  void PostCreateJob(AdmittedJob job, Callback<CreatedJob> done) override;
  void PostGetJob(std::string job_id, JobVisibility who, Callback<orch::v1::Job> done) override;
  void PostListJobs(JobVisibility who, int page_size, std::string page_token,
                    std::vector<orch::v1::JobState> states, std::string caller,
                    Callback<JobPage> done) override;
  void PostListJobNodes(std::string job_id, JobVisibility who, int page_size,
                        std::string page_token, std::vector<orch::v1::NodeState> states,
                        Callback<JobNodePage> done) override;
  void PostReadLog(uint64_t reader_id, std::string job_id, JobVisibility who,
                   uint64_t after_sequence, size_t bytes_max, Callback<JobLogPart> done) override;
  void PostForgetRead(uint64_t reader_id) override;
  void PostCancelJob(std::string job_id, std::string caller, std::string reason,
                     Callback<orch::v1::Job> done) override;
  void PostPauseJob(std::string job_id, std::string caller, Callback<orch::v1::Job> done) override;
  void PostResumeJob(std::string job_id, std::string caller, Callback<orch::v1::Job> done) override;
  void PostListNodes(orch::v1::Target target, bool with_facts,
                     Callback<std::vector<orch::v1::Node>> done) override;
  void PostExplainTarget(orch::v1::Target target, std::string node,
                         Callback<ExplainedTarget> done) override;
  void PostGetNode(std::string identity, Callback<orch::v1::Node> done) override;
  void PostWatchNodes(uint64_t reader_id, orch::v1::Target target,
                      std::function<void(std::vector<orch::v1::Node>)> changed) override;
  void PostStatus(std::function<void(DispatcherStatus)> done) override;

 private:
  class Core;
  explicit Dispatcher(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

}  // namespace orch::controller
