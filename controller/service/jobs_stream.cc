// SPDX-License-Identifier: Apache-2.0
#include <google/protobuf/util/time_util.h>

#include <deque>

#include "base/status.h"
#include "controller/job/job_filter.h"
#include "controller/service/out_stream.h"
#include "controller/service/watch_token.h"
#include "orch/v1/job_service.pb.h"

namespace orch::controller {

namespace asio = boost::asio;
using google::protobuf::util::TimeUtil;
using orch::v1::WatchJobsResponse;

namespace {

// Jobs of one message, if it is more than one.
constexpr size_t kJobsBytesMax = 256 << 10;

// Jobs, or what changed of them since a token, then each change: one read under way, or its jobs
// waiting to be written. Which of them the caller may see is looked at here, so that the dispatcher
// tells all watchers the same.
class WatchJobsStream : public OutStream<WatchJobsResponse> {
 public:
  WatchJobsStream(std::shared_ptr<ServiceCore> core, CallerEvidence who,
                  orch::v1::WatchJobsRequest request)
      : OutStream(std::move(core), std::move(who)), request_(std::move(request)) {}

 private:
  void Begin() override {
    if (const absl::Status valid = ValidateJobFilter("filter", request_.filter()); !valid.ok()) {
      return End(valid);
    }
    absl::StatusOr<WatchCursor> after = CursorOf("resume_token", request_.resume_token());
    if (!after.ok()) return End(after.status());
    cursor_ = *after;
    core().parts.gate->PostWatch(
        who(), OnStrand<WatchJobsStream, Watcher>([](WatchJobsStream* self, Watcher watcher) {
          self->watcher_ = std::move(watcher);
          self->reader_id_ = NextReaderId();
          self->Wake();
        }));
  }

  void JudgeCaller() override {
    core().parts.gate->PostVisibility(who(),
                                      OnStrand<WatchJobsStream, JobVisibility>(
                                          [](WatchJobsStream* self, JobVisibility visibility) {
                                            self->watcher_.visibility = std::move(visibility);
                                          }));
  }

  void Read() {
    reading_ = true;
    auto on_part =
        OnStrand<WatchJobsStream, JobChangesPart>([](WatchJobsStream* self, JobChangesPart part) {
          self->reading_ = false;
          self->OnPart(std::move(part));
        });
    core().parts.dispatcher.Post(
        [id = reader_id_, after = cursor_, on_part = std::move(on_part)](DispatcherApi& there) {
          there.ReadJobChanges(id, after, on_part);
        });
  }

  void OnPart(JobChangesPart part) {
    cursor_ = part.cursor;
    reset_ = reset_ || part.reset;
    for (std::shared_ptr<const orch::v1::Job>& job : part.jobs) {
      if (watcher_.visibility.Sees(job->caller()) && Matches(request_.filter(), *job)) {
        waiting_.push_back(std::move(job));
      }
    }
    // Where the watch begins is said even if there is no job.
    say_ = say_ || !std::exchange(begun_, true);
    Wake();
  }

  void Next() override {
    if (reader_id_ == 0 || reading_) return;
    if (waiting_.empty() && !say_ && !reset_) return Read();
    WatchJobsResponse message;
    message.set_reset(std::exchange(reset_, false));
    say_ = false;
    size_t bytes = 0;
    while (!waiting_.empty()) {
      bytes += waiting_.front()->ByteSizeLong();
      if (bytes > kJobsBytesMax && message.jobs_size() > 0) break;
      *message.add_jobs() = *waiting_.front();
      waiting_.pop_front();
    }
    if (waiting_.empty()) message.set_resume_token(TokenOf(cursor_));
    Write(std::move(message));
  }

  void OnEnded() override {
    if (reader_id_ != 0) {
      core().parts.dispatcher.Post(
          [id = reader_id_](DispatcherApi& there) { there.ForgetRead(id); });
    }
    watcher_.slot.reset();
    waiting_.clear();
  }

  // Only comes while nothing waits to be written.
  void FillHeartbeat(WatchJobsResponse* out) override {
    *out->mutable_heartbeat()->mutable_time() = TimeUtil::GetCurrentTime();
    if (begun_ && waiting_.empty()) out->set_resume_token(TokenOf(cursor_));
  }

  // On the strand only.
  const orch::v1::WatchJobsRequest request_;
  Watcher watcher_;
  uint64_t reader_id_ = 0;  // 0: the caller is not known yet
  bool reading_ = false;
  bool begun_ = false;
  bool say_ = false;                                          // a message is due even without jobs
  bool reset_ = false;                                        // to be said with it
  WatchCursor cursor_;                                        // of what was read
  std::deque<std::shared_ptr<const orch::v1::Job>> waiting_;  // bounded by the dispatcher's jobs
};

}  // namespace

grpc::ServerWriteReactor<WatchJobsResponse>* StartWatchJobs(std::shared_ptr<ServiceCore> core,
                                                            CallerEvidence who,
                                                            orch::v1::WatchJobsRequest request) {
  absl::Status known = ValidateKnown(request);
  auto stream =
      std::make_shared<WatchJobsStream>(std::move(core), std::move(who), std::move(request));
  stream->PostStart(std::move(known));
  return stream.get();
}

}  // namespace orch::controller
