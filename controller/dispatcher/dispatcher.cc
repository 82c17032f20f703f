// SPDX-License-Identifier: Apache-2.0
// The dispatcher's door: each call is one post to its strand.
#include <utility>

#include "base/status.h"
#include "controller/dispatcher/dispatcher_core.h"

namespace orch::controller {

Dispatcher::Dispatcher(std::shared_ptr<Core> core) : core_(std::move(core)) {}
Dispatcher::~Dispatcher() = default;

absl::StatusOr<std::unique_ptr<Dispatcher>> Dispatcher::Open(DispatcherParts parts,
                                                             DispatcherOptions options) {
  auto core = std::make_shared<Core>(std::move(parts), std::move(options));
  ORCH_RETURN_IF_ERROR(core->Open());
  return std::unique_ptr<Dispatcher>(new Dispatcher(std::move(core)));
}

void Dispatcher::Start() {
  boost::asio::post(core_->strand(), [core = core_] { core->Start(); });
}

void Dispatcher::PostStop(std::function<void()> done) {
  boost::asio::post(core_->strand(), [core = core_, done] { core->Stop(done); });
}

void Dispatcher::PostCrlChanged() {
  boost::asio::post(core_->strand(), [core = core_] { core->OnCrlChanged(); });
}

void Dispatcher::PostMetrics(std::function<void(DispatcherMetrics)> done) {
  boost::asio::post(core_->strand(), [core = core_, done] { done(core->Metrics()); });
}

void Dispatcher::PostStatus(std::function<void(DispatcherStatus)> done) {
  boost::asio::post(core_->strand(), [core = core_, done] { done(core->Status()); });
}

void Dispatcher::PostCreateJob(AdmittedJob job, Callback<CreatedJob> done) {
  boost::asio::post(core_->strand(), [core = core_, job = std::move(job), done]() mutable {
    core->CreateJob(std::move(job), done);
  });
}

void Dispatcher::PostGetJob(std::string job_id, JobVisibility who, Callback<orch::v1::Job> done) {
  boost::asio::post(core_->strand(),
                    [core = core_, job_id, who, done] { core->GetJob(job_id, who, done); });
}

void Dispatcher::PostListJobs(JobVisibility who, int page_size, std::string page_token,
                              std::vector<orch::v1::JobState> states, std::string caller,
                              Callback<JobPage> done) {
  boost::asio::post(core_->strand(),
                    [core = core_, who, page_size, page_token, states, caller, done] {
                      core->ListJobs(who, page_size, page_token, states, caller, done);
                    });
}

void Dispatcher::PostListJobNodes(std::string job_id, JobVisibility who, int page_size,
                                  std::string page_token, std::vector<orch::v1::NodeState> states,
                                  Callback<JobNodePage> done) {
  boost::asio::post(core_->strand(),
                    [core = core_, job_id, who, page_size, page_token, states, done] {
                      core->ListJobNodes(job_id, who, page_size, page_token, states, done);
                    });
}

void Dispatcher::PostReadLog(uint64_t reader_id, std::string job_id, JobVisibility who,
                             uint64_t after_sequence, size_t bytes_max, Callback<JobLogPart> done) {
  boost::asio::post(core_->strand(),
                    [core = core_, reader_id, job_id, who, after_sequence, bytes_max, done] {
                      core->ReadLog(reader_id, job_id, who, after_sequence, bytes_max, done);
                    });
}

void Dispatcher::PostForgetRead(uint64_t reader_id) {
  boost::asio::post(core_->strand(), [core = core_, reader_id] { core->ForgetRead(reader_id); });
}

void Dispatcher::PostCancelJob(std::string job_id, std::string caller, std::string reason,
                               Callback<orch::v1::Job> done) {
  boost::asio::post(core_->strand(), [core = core_, job_id, caller, reason, done] {
    core->ChangeJob(Core::Change::kCancel, job_id, caller, reason, done);
  });
}

void Dispatcher::PostPauseJob(std::string job_id, std::string caller,
                              Callback<orch::v1::Job> done) {
  boost::asio::post(core_->strand(), [core = core_, job_id, caller, done] {
    core->ChangeJob(Core::Change::kPause, job_id, caller, "", done);
  });
}

void Dispatcher::PostResumeJob(std::string job_id, std::string caller,
                               Callback<orch::v1::Job> done) {
  boost::asio::post(core_->strand(), [core = core_, job_id, caller, done] {
    core->ChangeJob(Core::Change::kResume, job_id, caller, "", done);
  });
}

void Dispatcher::PostListNodes(orch::v1::Target target, bool with_facts,
                               Callback<std::vector<orch::v1::Node>> done) {
  boost::asio::post(core_->strand(), [core = core_, target = std::move(target), with_facts, done] {
    core->ListNodes(target, with_facts, done);
  });
}

void Dispatcher::PostExplainTarget(orch::v1::Target target, std::string node,
                                   Callback<ExplainedTarget> done) {
  boost::asio::post(core_->strand(),
                    [core = core_, target = std::move(target), node = std::move(node), done] {
                      core->ExplainTarget(target, node, done);
                    });
}

void Dispatcher::PostGetNode(std::string identity, Callback<orch::v1::Node> done) {
  boost::asio::post(core_->strand(),
                    [core = core_, identity, done] { core->GetNode(identity, done); });
}

void Dispatcher::PostWatchNodes(uint64_t reader_id, orch::v1::Target target,
                                std::function<void(std::vector<orch::v1::Node>)> changed) {
  boost::asio::post(core_->strand(), [core = core_, reader_id, target = std::move(target),
                                      changed] { core->WatchNodes(reader_id, target, changed); });
}

}  // namespace orch::controller
