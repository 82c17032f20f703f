// SPDX-License-Identifier: Apache-2.0
#include "controller/service/out_stream.h"

#include <google/protobuf/util/time_util.h>

#include <atomic>
#include <map>
#include <memory>
#include <optional>

#include "api/change.h"
#include "api/names.h"
#include "api/quantity.h"
#include "base/status.h"
#include "controller/gate/validate.h"
#include "controller/job/rollout.h"
#include "orch/v1/job_service.pb.h"
#include "orch/v1/node_service.pb.h"

namespace orch::controller {

namespace asio = boost::asio;
using google::protobuf::util::TimeUtil;

namespace {

// What one message carries at most, if it is more than one event. Small enough to be cheap for a
// slow reader, large enough that a fleet's events cost few messages.
constexpr size_t kBatchBytesMax = 256 << 10;

// Reads a job's log with a cursor: one read under way or one part waiting to be written.
template <typename Response>
class LogStream : public OutStream<Response> {
 protected:
  using OutStream<Response>::OutStream;

  void JudgeCaller() override {
    this->core().parts.gate->PostVisibility(
        this->who(), this->template OnStrand<LogStream, JobVisibility>(
                         [](LogStream* self, JobVisibility visibility) {
                           self->watcher_.visibility = std::move(visibility);  // for the next read
                         }));
  }

  const JobVisibility& visibility() const { return watcher_.visibility; }
  // Turns a part of the log into a message; with `last`, it is the end. False: nothing to say.
  virtual bool Fill(const JobLogPart& part, Response* out) = 0;

  void StartReading(Watcher watcher, std::string job_id, uint64_t after_sequence) {
    watcher_ = std::move(watcher);
    job_id_ = std::move(job_id);
    after_sequence_ = after_sequence;
    reader_id_ = NextReaderId();
    this->Wake();
  }

  void Next() override {
    if (reader_id_ == 0 || reading_) return;
    if (!part_.has_value()) return Read();
    Response message;
    const bool ended = part_->ended != nullptr;
    if (!part_->events.empty()) after_sequence_ = part_->events.back()->sequence();
    const bool said = Fill(*part_, &message);
    part_.reset();
    if (ended) return this->WriteLast(std::move(message));
    if (said) return this->Write(std::move(message));
    Read();
  }

  void OnEnded() override {
    if (reader_id_ != 0) {
      this->core().parts.dispatcher.Post(
          [id = reader_id_](DispatcherApi& there) { there.ForgetRead(id); });
    }
    watcher_.slot.reset();
  }

 private:
  void Read() {
    reading_ = true;
    auto on_part =
        this->template OnStrand<LogStream, JobLogPart>([](LogStream* self, JobLogPart part) {
          self->reading_ = false;
          self->part_ = std::move(part);
          self->Wake();
        });
    this->core().parts.dispatcher.Post([reader_id = reader_id_, job_id = job_id_,
                                        viewer = watcher_.visibility, after = after_sequence_,
                                        on_part = std::move(on_part)](DispatcherApi& there) {
      there.ReadLog(reader_id, job_id, viewer, after, kBatchBytesMax, on_part);
    });
  }

  // On the strand only.
  Watcher watcher_;
  std::string job_id_;
  uint64_t after_sequence_ = 0;
  uint64_t reader_id_ = 0;  // 0: the job is not known yet
  bool reading_ = false;
  std::optional<JobLogPart> part_;
};

// RunJob and WatchJob: the first message and the last have the job.
template <typename Response>
class JobStream : public LogStream<Response> {
 protected:
  using LogStream<Response>::LogStream;

  // Says which job it is at once, however long its first event takes.
  void Follow(Watcher watcher, const orch::v1::Job& job, uint64_t after_sequence) {
    Response first;
    *first.mutable_job() = job;
    this->Write(std::move(first));
    this->StartReading(std::move(watcher), std::string(api::JobIdOf(job.name())), after_sequence);
  }

  bool Fill(const JobLogPart& part, Response* out) override {
    for (const auto& event : part.events) {
      orch::v1::JobEvent* told = out->add_events();
      *told = *event;
      if (!this->visibility().diffs && told->node().result().has_puppet_run()) {
        api::DropDiffs("not_permitted",
                       told->mutable_node()->mutable_result()->mutable_puppet_run());
      }
    }
    if (part.ended != nullptr) *out->mutable_job() = *part.ended;
    return part.ended != nullptr || !part.events.empty();
  }
  void FillHeartbeat(Response* out) override {
    *out->mutable_heartbeat()->mutable_time() = TimeUtil::GetCurrentTime();
  }
};

class RunJobStream : public JobStream<orch::v1::RunJobResponse> {
 public:
  RunJobStream(std::shared_ptr<ServiceCore> core, CallerEvidence who, JobRequest request)
      : JobStream(std::move(core), std::move(who)), request_(std::move(request)) {
    request_.abandoned = abandoned_;
  }

 private:
  using Base = LogStream<orch::v1::RunJobResponse>;

  // A slot first: a job that can't be watched is not created.
  void Begin() override {
    core().parts.gate->PostWatch(who(), OnStrand<Base, Watcher>([](Base* self, Watcher watcher) {
                                   static_cast<RunJobStream*>(self)->Create(std::move(watcher));
                                 }));
  }
  void Create(Watcher watcher) {
    const bool only_asked = request_.validate_only;
    core().parts.gate->PostCreateJob(
        who(), std::move(request_),
        OnStrand<Base, CreatedJob>([watcher, only_asked](Base* self, CreatedJob created) {
          auto* stream = static_cast<RunJobStream*>(self);
          if (!only_asked) return stream->Follow(watcher, created.job, 0);
          orch::v1::RunJobResponse only;
          only.mutable_job()->Swap(&created.job);
          stream->WriteLast(std::move(only));
        }));
  }
  void OnEnded() override {
    *abandoned_ = true;
    JobStream::OnEnded();
  }

  const std::shared_ptr<std::atomic<bool>> abandoned_ = std::make_shared<std::atomic<bool>>(false);
  JobRequest request_;
};

class WatchJobStream : public JobStream<orch::v1::WatchJobResponse> {
 public:
  WatchJobStream(std::shared_ptr<ServiceCore> core, CallerEvidence who,
                 orch::v1::WatchJobRequest request)
      : JobStream(std::move(core), std::move(who)), request_(std::move(request)) {}

 private:
  using Base = LogStream<orch::v1::WatchJobResponse>;

  void Begin() override {
    absl::StatusOr<std::string> id = api::ParseJobName("name", request_.name());
    if (!id.ok()) return End(id.status());
    core().parts.gate->PostWatch(
        who(), OnStrand<Base, Watcher>([id = *std::move(id)](Base* self, Watcher watcher) {
          static_cast<WatchJobStream*>(self)->Find(id, std::move(watcher));
        }));
  }
  void Find(const std::string& id, Watcher watcher) {
    auto on_job = OnStrand<Base, orch::v1::Job>([watcher](Base* self, const orch::v1::Job& job) {
      auto* stream = static_cast<WatchJobStream*>(self);
      stream->Follow(watcher, job, stream->request_.after_sequence());
    });
    core().parts.dispatcher.Post([id, viewer = watcher.visibility, on_job = std::move(on_job)](
                                     DispatcherApi& there) { there.GetJob(id, viewer, on_job); });
  }

  const orch::v1::WatchJobRequest request_;
};

// A discovery is a node.ping job whose log is told as nodes.
class DiscoverStream : public LogStream<orch::v1::DiscoverNodesResponse> {
 public:
  DiscoverStream(std::shared_ptr<ServiceCore> core, CallerEvidence who,
                 orch::v1::DiscoverNodesRequest request, std::string traceparent)
      : LogStream(std::move(core), std::move(who)),
        request_(std::move(request)),
        traceparent_(std::move(traceparent)) {}

 private:
  using Base = LogStream<orch::v1::DiscoverNodesResponse>;

  void Begin() override {
    core().parts.gate->PostWatch(who(), OnStrand<Base, Watcher>([](Base* self, Watcher watcher) {
                                   static_cast<DiscoverStream*>(self)->Ask(std::move(watcher));
                                 }));
  }
  void Ask(Watcher watcher) {
    core().parts.gate->PostDiscover(
        who(), request_, std::move(traceparent_),
        OnStrand<Base, CreatedJob>([watcher](Base* self, CreatedJob created) {
          static_cast<DiscoverStream*>(self)->StartReading(
              watcher, std::string(api::JobIdOf(created.job.name())), 0);
        }));
  }

  bool Fill(const JobLogPart& part, orch::v1::DiscoverNodesResponse* out) override {
    for (const auto& event : part.events) {
      if (!event->has_node()) continue;
      const orch::v1::JobNode& from = event->node();
      orch::v1::Node node;
      node.set_name(api::NodeName(from.node()));
      node.set_identity(from.node());
      if (from.state() == orch::v1::NODE_STATE_SUCCEEDED) {
        node.set_state(orch::v1::ROSTER_STATE_PRESENT);
        *node.mutable_last_seen() = event->time();
        node.set_version(from.result().node_ping().version());
        *(!request_.has_limit() ? out->add_nodes() : answered_.add_nodes()) = std::move(node);
      } else if (from.state() == orch::v1::NODE_STATE_NO_RESPONSE) {
        if (from.has_last_seen()) *node.mutable_last_seen() = from.last_seen();
        silent_.mutable_silent()->Add(std::move(node));
      }
    }
    if (part.ended != nullptr) {
      out->mutable_silent()->Swap(silent_.mutable_silent());
      ChooseInto(out);
    }
    return part.ended != nullptr || out->nodes_size() > 0;
  }

  // A limit is one of those that answered, so they are known only at the end.
  void ChooseInto(orch::v1::DiscoverNodesResponse* out) {
    if (!request_.has_limit()) return;
    std::map<std::string, orch::v1::Node*> by_name;
    for (orch::v1::Node& node : *answered_.mutable_nodes()) by_name.emplace(node.identity(), &node);
    std::vector<std::string> names;
    for (const auto& [name, node] : by_name) names.push_back(name);
    const auto limit =
        api::ResolveQuantity(request_.limit(), static_cast<uint32_t>(names.size()), "limit");
    ORCH_CHECK(limit.ok());  // the gate has looked at it
    for (const std::string& name : ChooseNodes(std::move(names), *limit, request_.limit_seed())) {
      out->add_nodes()->Swap(by_name.at(name));
    }
  }
  // An empty message; a discovery is over before the first, unless its timeout is long.
  void FillHeartbeat(orch::v1::DiscoverNodesResponse*) override {}

  orch::v1::DiscoverNodesRequest request_;
  std::string traceparent_;
  orch::v1::DiscoverNodesResponse silent_;    // all of them go into the last message
  orch::v1::DiscoverNodesResponse answered_;  // with a limit: what is chosen from, likewise
};

// gRPC holds the plain pointer until OnDone; the stream holds itself until then.
template <typename Stream, typename... Arguments>
Stream* Start(absl::Status refused, Arguments&&... arguments) {
  auto stream = std::make_shared<Stream>(std::forward<Arguments>(arguments)...);
  stream->PostStart(std::move(refused));
  return stream.get();
}

}  // namespace

uint64_t NextReaderId() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

grpc::ServerWriteReactor<orch::v1::RunJobResponse>* StartRunJob(std::shared_ptr<ServiceCore> core,
                                                                CallerEvidence who,
                                                                orch::v1::RunJobRequest request,
                                                                std::string traceparent) {
  absl::Status known = ValidateKnown(request);
  JobRequest job;
  job.spec = std::move(*request.mutable_spec());
  job.idempotency_key = std::move(*request.mutable_idempotency_key());
  job.validate_only = request.validate_only();
  job.traceparent = std::move(traceparent);
  return Start<RunJobStream>(std::move(known), std::move(core), std::move(who), std::move(job));
}

grpc::ServerWriteReactor<orch::v1::WatchJobResponse>* StartWatchJob(
    std::shared_ptr<ServiceCore> core, CallerEvidence who, orch::v1::WatchJobRequest request) {
  absl::Status known = ValidateKnown(request);
  return Start<WatchJobStream>(std::move(known), std::move(core), std::move(who),
                               std::move(request));
}

grpc::ServerWriteReactor<orch::v1::DiscoverNodesResponse>* StartDiscoverNodes(
    std::shared_ptr<ServiceCore> core, CallerEvidence who, orch::v1::DiscoverNodesRequest request,
    std::string traceparent) {
  absl::Status known = ValidateKnown(request);
  return Start<DiscoverStream>(std::move(known), std::move(core), std::move(who),
                               std::move(request), std::move(traceparent));
}

}  // namespace orch::controller
