// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/strand.h"
#include "controller/context/dispatcher_api.h"

namespace orch::controller {

// A DispatcherApi for tests, without a bus or a store. A job is what the test appends to its log;
// the roster is the nodes that the test names.
//
// Lives on: the strand it is given. The test's own methods post too, in order with the API's.
class FakeDispatcher : public DispatcherApi {
 public:
  explicit FakeDispatcher(base::Strand strand) : strand_(std::move(strand)) {}

  // Lets the following calls of PostCreateJob fail with `error`; OK ends that.
  void PostSetCreateError(absl::Status error);
  // Adds a job of `caller` whose log has one event, `started`.
  void PostAddJob(std::string job_id, std::string caller);
  // Appends an event with the next sequence number and answers waiting readers.
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
  };
  void PostSeen(std::function<void(Seen)> look);

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

  absl::StatusOr<Log*> Find(const std::string& job_id, const JobVisibility& who);
  void Append(Log* log, orch::v1::JobEvent event);
  void AnswerReaders();
  void PostChange(const char* verb, std::string job_id, std::string caller,
                  Callback<orch::v1::Job> done);

  const base::Strand strand_;
  absl::Status create_error_;
  std::map<std::string, Log> logs_;
  std::map<uint64_t, Reader> readers_;
  std::map<std::string, orch::v1::Node> nodes_;
  std::map<uint64_t, std::function<void(std::vector<orch::v1::Node>)>> node_watchers_;
  Seen seen_;
  int created_ = 0;
};

// `01J0000000000000000000000<n>`, a ULID.
std::string TestUlid(int n);

}  // namespace orch::controller
