// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/strand.h"
#include "controller/context/dispatcher_api.h"

namespace orch::controller {

// A DispatcherApi without a bus or a store, which tests script where they need what the real one
// can't be made to do: jobs are what the test appends to their logs, the roster is what it says.
//
// Lives on: the strand it is given. The test's own methods post, in order with what comes by ports.
class FakeDispatcher : public DispatcherApi {
 public:
  explicit FakeDispatcher(base::Strand strand) : strand_(std::move(strand)) {}

  // Lets the following calls of PostCreateJob fail with `error`; OK ends that.
  void PostSetCreateError(absl::Status error);
  // A job of `caller`, a node.ping where no spec is given, with a log of one `started` event.
  void PostAddJob(std::string job_id, std::string caller, orch::v1::JobSpec spec = {});
  // Fills in sequence number and time; tells readers.
  void PostAppend(std::string job_id, orch::v1::JobEvent event);
  void PostFinish(std::string job_id, orch::v1::JobState state);
  // Adds or replaces a node; tells watchers.
  void PostNode(orch::v1::Node node);
  // Gives `look` a copy of what was seen so far, on the strand.
  struct Seen {
    std::vector<AdmittedJob> admitted;
    std::vector<std::string> changes;  // `cancel <id> <caller>`
    size_t readers = 0;                // of logs that wait
    size_t node_watchers = 0;
    int job_node_pages = 0;
    JobJudge judge;  // the last one
  };
  void PostSeen(std::function<void(Seen)> look);

  DispatcherPort port() const { return DispatcherPort(strand_, self_); }
  void CreateJob(AdmittedJob job, Callback<CreatedJob> done) override;
  void GetJob(std::string job_id, JobVisibility viewer, Callback<orch::v1::Job> done) override;
  void ListJobs(JobsQuery query, JobVisibility viewer, Callback<JobPage> done) override;
  void ListJobNodes(JobNodesQuery query, JobVisibility viewer, Callback<JobNodePage> done) override;
  void ReadLog(uint64_t reader_id, std::string job_id, JobVisibility viewer,
               uint64_t after_sequence, size_t bytes_max, Callback<JobLogPart> done) override;
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
  struct Log {
    orch::v1::Job job;
    std::vector<std::shared_ptr<const orch::v1::JobEvent>> events;
    bool ended = false;
  };
  struct Reader {
    std::string job_id;
    uint64_t after_sequence;
    size_t bytes_max;
    Callback<JobLogPart> done;
  };

  absl::StatusOr<Log*> Find(const std::string& job_id, const JobVisibility& viewer);
  void Append(Log* log, orch::v1::JobEvent event);
  void AnswerReaders();
  const base::Strand strand_;
  const std::shared_ptr<DispatcherApi> self_{this, [](DispatcherApi*) {}};  // for ports
  absl::Status create_error_;
  std::map<std::string, Log> logs_;
  std::map<uint64_t, Reader> readers_;
  std::map<std::string, orch::v1::Node> nodes_;
  std::map<uint64_t, std::function<void(NodeChanges)>> node_watchers_;
  Seen seen_;
  int created_ = 0;
};

// `01J0000000000000000000000<n>`, a ULID.
std::string TestUlid(int n);

}  // namespace orch::controller
