// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/asio.h"
#include "base/clock.h"
#include "bus/client.h"
#include "bus/destination.h"
#include "controller/audit_sink.h"
#include "controller/dispatcher.h"
#include "controller/metrics.h"
#include "trust/identity.h"

namespace orch::controller {

// Requests of one job whose publishing is logged at level info: a rolling job sends thousands.
inline constexpr int kPublishedLoggedMax = 20;

// What the dispatcher is told by the configuration. Constant after construction.
struct DispatcherOptions {
  std::string controller;  // this controller's identity; part of its reply queues
  std::vector<std::string> collectives = {"main"};
  bus::Destinations destinations;
  std::string store_path;       // SQLite; `<store_path>.lock` beside it is held
  uint32_t confirm_above = 50;  // SECURITY: mutating jobs on more nodes want a count
  uint32_t concurrency = 8;     // of puppet.run where the spec says nothing
  absl::Duration presence_interval = absl::Minutes(5);
  absl::Duration stale_after = absl::ZeroDuration();  // 0: three presence intervals
  absl::Duration request_ttl = absl::Seconds(60);     // of every signed request; at most 900 s
  absl::Duration beacon_interval = absl::Seconds(30);
  // Everybody is asked anew after a reconnect, but not more often than this: later, then.
  absl::Duration everybody_pause = absl::Seconds(30);
  // How long known nodes may stay silent when a job that changes something asks who would.
  absl::Duration discovery_timeout = absl::Seconds(2);
  uint64_t jobs_kept = 10000;  // ended jobs beyond these are forgotten, the oldest first
  absl::Duration jobs_kept_for = absl::Hours(24 * 30);
  uint32_t jobs_running_max = 1000;  // more at once are refused
};

// What the dispatcher is made of.
struct DispatcherParts {
  boost::asio::io_context* io;  // its threads open and sign envelopes; outlives the dispatcher
  base::Strand strand;          // the dispatcher's home
  base::Strand bus_strand;      // the client's home; may be the same
  bus::Client* client;  // not started; outlives the dispatcher, which subscribes and starts it
  std::shared_ptr<trust::Credentials> credentials;
  std::shared_ptr<AuditSink> audit;
  const base::Clock* clock = &base::SystemClock();
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
