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
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "controller/context/port.h"
#include "controller/roster/explained_target.h"
#include "orch/v1/job.pb.h"
#include "orch/v1/job_service.pb.h"
#include "orch/v1/node.pb.h"
#include "orch/v1/target.pb.h"
#include "policy/policy.h"
#include "target/target.h"

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
  // `spec.target`, compiled where it was validated; null: not yet.
  std::shared_ptr<const target::Target> target = {};
  // Set once nobody waits for the answer any more; null: never.
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
  // The job, if it has ended and `events` reaches the end of its log; else null.
  std::shared_ptr<const orch::v1::Job> ended;
};

// What a caller does to a job that is under way.
enum class JobChange { kCancel, kPause, kResume };
struct JobChangeRequest {
  JobChange change = JobChange::kCancel;
  std::string job_id;
  std::string caller;
  std::string reason;
};

// What the policy in force says of a job, whoever asks: the gate provides it anew with each policy.
// Thread-safe.
using JobJudge = std::function<policy::Decision(const std::string& caller,
                                                const orch::v1::JobSpec& spec, bool listing)>;

// Which jobs.
struct JobsQuery {
  int page_size = 1;
  std::string page_token = {};                     // of the page before
  std::vector<orch::v1::JobState> states = {};     // in one of these; empty: in any
  std::string caller = {};                         // of this one alone; empty: of all
  std::optional<orch::v1::JobFilter> filter = {};  // validated
  bool oldest_first = false;
};
struct JobPage {
  std::vector<orch::v1::Job> jobs;  // fewer than asked for, where many had to be looked at
  std::string next_page_token;      // empty: that was all
};
// Which nodes of a job.
struct JobNodesQuery {
  std::string job_id = {};
  int page_size = 1;
  std::string page_token = {};                            // of the page before
  std::vector<orch::v1::NodeState> states = {};           // in one of these; empty: in any
  std::string node = {};                                  // this one alone; empty: all
  std::vector<orch::v1::PuppetRunVerdict> verdicts = {};  // likewise
  std::vector<std::string> reasons = {};                  // likewise
};
struct JobNodePage {
  std::vector<orch::v1::JobNode> nodes;  // as JobPage::jobs
  std::string next_page_token;           // empty: that was all
};

// How far a watcher of all jobs, or of the roster, has come. Good for the process that gave it.
struct WatchCursor {
  uint64_t process = 0;   // drawn at random; 0: from the beginning
  uint64_t revision = 0;  // what changed up to here is known
};
// What changed since a cursor.
struct JobChangesPart {
  std::vector<std::shared_ptr<const orch::v1::Job>> jobs;  // in the order of their last change
  WatchCursor cursor;                                      // after them
  bool reset = false;  // what was asked for is not known any more: this is a beginning
};

// Whose jobs a caller may see: his own, and with `everybody` all; the gate fills it in from the
// policy.
struct JobVisibility {
  std::string caller;
  bool everybody = false;  // `job.get` is granted
  bool diffs = false;      // `job.diff` is granted: differences of files are shown
  bool Sees(absl::string_view caller_of_job) const { return everybody || caller_of_job == caller; }
};

// What changed in the roster for the watcher of a target.
struct NodeChanges {
  std::vector<orch::v1::Node> nodes = {};  // that match or may match, as they are now
  std::vector<std::string> gone = {};      // identities that left the roster or don't match
  WatchCursor cursor = {};                 // after them
  bool reset = false;                      // nothing is known of the cursor that was asked for
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
// Lives on: its own strand, on which every method here is called and every callback comes. Whoever
// lives elsewhere holds a Port, and posts on from the callback. This is the only list of what the
// dispatcher can be asked for: its class implements it, nobody repeats it.
class DispatcherApi {
 public:
  template <typename T>
  using Callback = std::function<void(absl::StatusOr<T>)>;

  virtual ~DispatcherApi() = default;
  // Resolves, freezes, checks limits, stores, publishes. The answer comes when the job is durable
  // (before it is published), or with validate_only when it is resolved. A mutating job is
  // discovered first.
  virtual void CreateJob(AdmittedJob job, Callback<CreatedJob> done) = 0;
  // NotFound where there is none or it may not be seen.
  virtual void GetJob(std::string job_id, JobVisibility viewer, Callback<orch::v1::Job> done) = 0;
  // Newest first, or oldest. InvalidArgument: a bad page token.
  virtual void ListJobs(JobsQuery query, JobVisibility viewer, Callback<JobPage> done) = 0;
  // By name. InvalidArgument: a bad page token.
  virtual void ListJobNodes(JobNodesQuery query, JobVisibility viewer,
                            Callback<JobNodePage> done) = 0;
  // Answers with the events after `after_sequence`, at most `bytes_max` of them (at least one), as
  // soon as there is one or the job has ended. OutOfRange: beyond the log. A reader that goes away
  // calls ForgetRead with the same id.
  virtual void ReadLog(uint64_t reader_id, std::string job_id, JobVisibility viewer,
                       uint64_t after_sequence, size_t bytes_max, Callback<JobLogPart> done) = 0;
  virtual void ForgetRead(uint64_t reader_id) = 0;
  // Answers with the jobs, of whatever caller, that changed since `after`, as soon as there is one;
  // at the beginning with those that have not ended and those that ended in the last
  // kJobsWatchedFor, and at once. A reader that goes away calls ForgetRead.
  virtual void ReadJobChanges(uint64_t reader_id, WatchCursor after,
                              Callback<JobChangesPart> done) = 0;
  // Answers when the change is durable. FailedPrecondition: the job is not in a state for it.
  // PermissionDenied: a resume, and the job's caller may no longer do what the job does.
  virtual void ChangeJob(JobChangeRequest request, Callback<orch::v1::Job> done) = 0;
  // From now on jobs that start nodes are judged so, before each start.
  virtual void SetJudge(JobJudge judge) = 0;

  // The roster. `target` has been validated. Facts only where `with_facts`.
  virtual void ListNodes(orch::v1::Target target, bool with_facts,
                         Callback<std::vector<orch::v1::Node>> done) = 0;
  // What the clauses leave of the roster, and, if `node` is not empty, what they come to there.
  virtual void ExplainTarget(orch::v1::Target target, std::string node,
                             Callback<ExplainedTarget> done) = 0;
  virtual void GetNode(std::string identity, Callback<orch::v1::Node> done) = 0;
  // Calls `changed` at once with how far it is now, and with what changed since `after` where that
  // is known, else with `reset`; then with what changed since the last call, until
  // ForgetRead(reader_id).
  virtual void WatchNodes(uint64_t reader_id, orch::v1::Target target, WatchCursor after,
                          std::function<void(NodeChanges)> changed) = 0;
  virtual DispatcherStatus Status() const = 0;
};

// How long a job that ended is among those that a watch over jobs begins with.
inline constexpr absl::Duration kJobsWatchedFor = absl::Hours(1);

using DispatcherPort = Port<DispatcherApi>;

}  // namespace orch::controller
