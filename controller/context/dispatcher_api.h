// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "controller/roster/explained_target.h"
#include "orch/v1/job.pb.h"
#include "orch/v1/node.pb.h"
#include "orch/v1/target.pb.h"
#include "policy/policy.h"

namespace orch::controller {

// A job that the gate has let through (validated, permitted, audited).
struct AdmittedJob {
  std::string caller;
  orch::v1::JobSpec spec;
  std::string idempotency_key;  // empty: none
  bool validate_only = false;
  bool listing = false;  // the job only asks who is there; nodes that `decision` hides are left out
                         // of its answer
  policy::Decision decision;  // its conditions travel with the requests
  std::string traceparent;
  // Set where `spec.pql` takes part in saying which nodes are meant: exactly these names, sorted,
  // in place of `spec.nodes`; an empty list means no node.
  std::optional<std::vector<std::string>> names = {};
  // Becomes true when nobody waits for the answer any more. Null: it never does.
  std::shared_ptr<const std::atomic<bool>> abandoned = {};
};

// The answer to an AdmittedJob.
struct CreatedJob {
  orch::v1::Job job;
  // With validate_only, both by name: the nodes that would be asked, and those of which it is known
  // already that they would not start.
  std::vector<std::string> nodes;
  std::vector<orch::v1::JobNode> others;
};

// A part of a job's log, for one reader.
struct JobLogPart {
  std::vector<std::shared_ptr<const orch::v1::JobEvent>> events;  // in order, without gaps
  bool ended = false;  // the job has ended and `events` reaches the end of its log
  orch::v1::Job job;   // as of now
};

struct JobPage {
  std::vector<orch::v1::Job> jobs;
  std::string next_page_token;
};
struct JobNodePage {
  std::vector<orch::v1::JobNode> nodes;
  std::string next_page_token;
};

// Whose jobs a caller may see: his own, and with `everybody` all; the gate fills it in from the
// policy.
struct JobVisibility {
  std::string caller;
  bool everybody = false;  // `job.get` is granted
};

struct DispatcherStatus {
  bool bus_connected = false;
  absl::Time bus_since;   // since when it is connected, or not
  std::string bus_error;  // why it is not connected
  bool store_ok = true;
  uint64_t jobs_running = 0;
  uint64_t nodes_present = 0, nodes_stale = 0;
};

// Turns admitted jobs into signed requests and the nodes' signed replies into events; owns the
// jobs, the roster and their store.
//
// Lives on: its own strand. Every method here is named Post… or is thread-safe by itself; callbacks
// come on the dispatcher's strand, and whoever lives elsewhere posts on from there.
class DispatcherApi {
 public:
  template <typename T>
  using Callback = std::function<void(absl::StatusOr<T>)>;

  virtual ~DispatcherApi() = default;
  // Takes a job: finds out which nodes are meant (for a mutating job by a discovery), freezes the
  // list, checks limits, stores and publishes it. The answer comes when the job is durable, which
  // is before it is published; with validate_only when its nodes are known.
  virtual void PostCreateJob(AdmittedJob job, Callback<CreatedJob> done) = 0;
  // The job. NotFound: there is none, or `who` may not see it; so say the other calls that name a
  // job.
  virtual void PostGetJob(std::string job_id, JobVisibility who, Callback<orch::v1::Job> done) = 0;
  virtual void PostListJobs(JobVisibility who, int page_size, std::string page_token,
                            std::vector<orch::v1::JobState> states, std::string caller,
                            Callback<JobPage> done) = 0;
  virtual void PostListJobNodes(std::string job_id, JobVisibility who, int page_size,
                                std::string page_token, std::vector<orch::v1::NodeState> states,
                                Callback<JobNodePage> done) = 0;
  // Answers with the events after `after_sequence`, at least one and then at most `bytes_max` bytes
  // of them, as soon as there is one or the job has ended. OutOfRange: `after_sequence` is beyond
  // the log. A reader that goes away calls PostForgetRead with its id.
  virtual void PostReadLog(uint64_t reader_id, std::string job_id, JobVisibility who,
                           uint64_t after_sequence, size_t bytes_max,
                           Callback<JobLogPart> done) = 0;
  virtual void PostForgetRead(uint64_t reader_id) = 0;
  virtual void PostCancelJob(std::string job_id, std::string caller, std::string reason,
                             Callback<orch::v1::Job> done) = 0;
  virtual void PostPauseJob(std::string job_id, std::string caller,
                            Callback<orch::v1::Job> done) = 0;
  virtual void PostResumeJob(std::string job_id, std::string caller,
                             Callback<orch::v1::Job> done) = 0;

  // The nodes of the roster that match or may match. `target` has been validated. Facts are filled
  // in only with `with_facts`.
  virtual void PostListNodes(orch::v1::Target target, bool with_facts,
                             Callback<std::vector<orch::v1::Node>> done) = 0;
  // How the clauses of `target` narrow down the roster and, if `node` is not empty, what each comes
  // to there.
  virtual void PostExplainTarget(orch::v1::Target target, std::string node,
                                 Callback<ExplainedTarget> done) = 0;
  virtual void PostGetNode(std::string identity, Callback<orch::v1::Node> done) = 0;
  // Calls `changed` with nodes that changed since the last call until PostForgetRead(reader_id).
  virtual void PostWatchNodes(uint64_t reader_id, orch::v1::Target target,
                              std::function<void(std::vector<orch::v1::Node>)> changed) = 0;
  virtual void PostStatus(std::function<void(DispatcherStatus)> done) = 0;
};

}  // namespace orch::controller
