// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <utility>

#include "base/strand.h"
#include "controller/service/service_core.h"
#include "orch/v1/job_service.pb.h"
#include "orch/v1/node_service.pb.h"

namespace orch::controller {

// So often is the caller of an open stream judged again: by default every 30 s.
inline constexpr int kHeartbeatsToJudge = 3;

// The bridge from a strand to a gRPC stream: at most one write in flight, whose message is a
// member; heartbeats in silence; exactly one Finish. What is written next is the subclass's, which
// is asked when the stream can take it, so a slow reader costs one message and delays nobody. As
// long as it is open the caller's certificate and rights are judged again and again.
//
// Lives on: a strand of its own. gRPC's callbacks only post to it; the last of them, OnDone, posts
// the end of the object (strands are FIFO, so nothing of gRPC comes after it). Whoever answers
// later holds a shared_ptr and finds ended().
template <typename Response>
class OutStream : public grpc::ServerWriteReactor<Response>, public Stoppable {
 public:
  void OnWriteDone(bool ok) final {
    boost::asio::post(strand_, [this, ok] { AfterWrite(ok); });
  }
  void OnCancel() final {
    boost::asio::post(strand_, [this] { End(absl::CancelledError("the caller has gone")); });
  }
  void OnDone() final {
    boost::asio::post(strand_, [this] { Release(); });
  }
  void PostStop(absl::Status status) final {
    boost::asio::post(strand_, [self = Shared(), status] { self->End(status); });
  }

  // Called once, by the service, instead of any other method. `refused`: why the request is not to
  // be served at all, if it is not.
  void PostStart(absl::Status refused) {
    self_ = Shared();
    boost::asio::post(core_->strand, [core = core_, self = self_] { core->streams.insert(self); });
    boost::asio::post(strand_, [self = self_, refused = std::move(refused)] {
      if (self->core_->stopping) return self->End(Stopping());
      if (!refused.ok()) return self->End(refused);
      self->ArmHeartbeat();
      self->ArmJudge();
      self->Begin();
    });
  }

 protected:
  OutStream(std::shared_ptr<ServiceCore> core, CallerEvidence who)
      : core_(std::move(core)),
        strand_(core_->parts.io->get_executor()),
        who_(std::move(who)),
        timer_(strand_),
        judge_timer_(strand_) {}

  // All on the strand. Begin comes first. Next may call Write, WriteLast or End, or nothing: then
  // the subclass calls Wake when there is something. OnEnded comes once, before the object ends.
  virtual void Begin() = 0;
  virtual void Next() = 0;
  virtual void OnEnded() = 0;
  virtual void FillHeartbeat(Response* response) = 0;
  // Calls End if the caller may not see any more what comes.
  virtual void JudgeCaller() = 0;

  bool ended() const { return ended_; }
  const base::Strand& strand() const { return strand_; }
  std::shared_ptr<OutStream> Shared() {
    return std::static_pointer_cast<OutStream>(this->shared_from_this());
  }
  ServiceCore& core() { return *core_; }
  const CallerEvidence& who() const { return who_; }

  // A callback that hands what it is given to `then(self, value)` on the strand, unless the stream
  // has ended by then; an error ends it. `Self` is the subclass; the stream lives until it is
  // called.
  template <typename Self, typename T, typename Then>
  std::function<void(absl::StatusOr<T>)> OnStrand(Then then) {
    return [self = Shared(), then](absl::StatusOr<T> result) {
      boost::asio::post(self->strand_, [self, then, result = std::move(result)]() mutable {
        if (self->ended_) return;
        if (!result.ok()) return self->End(result.status());
        then(static_cast<Self*>(self.get()), *std::move(result));
      });
    };
  }

  void Wake() {
    if (!writing_ && !ended_) Next();
  }
  void Write(Response response) {
    message_ = std::move(response);
    writing_ = wrote_ = true;
    ArmHeartbeat();
    this->StartWrite(&message_);
  }
  // The last message, then OK.
  void WriteLast(Response response) {
    message_ = std::move(response);
    writing_ = true;
    MarkEnded();
    finished_ = true;
    this->StartWriteAndFinish(&message_, grpc::WriteOptions(),
                              core_->template Count<Response>(absl::OkStatus()));
  }
  // Once is enough; later ones do nothing.
  void End(const absl::Status& status) {
    if (ended_) return;
    MarkEnded();
    final_status_ = status;
    if (!writing_) FinishNow();
  }

 private:
  void AfterWrite(bool ok) {
    writing_ = false;
    if (ended_) return FinishNow();
    if (!ok) return End(absl::CancelledError("the caller has gone"));
    Next();
  }
  void FinishNow() {
    if (std::exchange(finished_, true)) return;
    this->Finish(core_->template Count<Response>(final_status_));
  }
  void MarkEnded() {
    ended_ = true;
    timer_.cancel();
    judge_timer_.cancel();
    OnEnded();
  }
  void ArmHeartbeat() {
    timer_.expires_after(absl::ToChronoNanoseconds(core_->options.heartbeat));
    timer_.async_wait([weak = this->weak_from_this()](boost::system::error_code error) {
      const auto self = std::static_pointer_cast<OutStream>(weak.lock());
      if (error || self == nullptr || self->ended_) return;
      // The first message is never a heartbeat.
      if (self->writing_ || !self->wrote_) return self->ArmHeartbeat();
      Response heartbeat;
      self->FillHeartbeat(&heartbeat);
      self->Write(std::move(heartbeat));
    });
  }
  void ArmJudge() {
    judge_timer_.expires_after(
        absl::ToChronoNanoseconds(kHeartbeatsToJudge * core_->options.heartbeat));
    judge_timer_.async_wait([weak = this->weak_from_this()](boost::system::error_code error) {
      const auto self = std::static_pointer_cast<OutStream>(weak.lock());
      if (error || self == nullptr || self->ended_) return;
      self->JudgeCaller();
      self->ArmJudge();
    });
  }
  void Release() {
    boost::asio::post(core_->strand, [core = core_, self = self_] { core->streams.erase(self); });
    self_.reset();
  }

  const std::shared_ptr<ServiceCore> core_;
  const base::Strand strand_;

  // On strand_ only.
  const CallerEvidence who_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer judge_timer_;
  Response message_;
  absl::Status final_status_;
  bool writing_ = false;
  bool wrote_ = false;
  bool ended_ = false;     // nothing more is written but the end
  bool finished_ = false;  // Finish was called
  std::shared_ptr<OutStream> self_;
};

// JobService.RunJob: takes the job, then watches it.
grpc::ServerWriteReactor<orch::v1::RunJobResponse>* StartRunJob(std::shared_ptr<ServiceCore> core,
                                                                CallerEvidence who,
                                                                orch::v1::RunJobRequest request,
                                                                std::string traceparent);
// JobService.WatchJob.
grpc::ServerWriteReactor<orch::v1::WatchJobResponse>* StartWatchJob(
    std::shared_ptr<ServiceCore> core, CallerEvidence who, orch::v1::WatchJobRequest request);
// JobService.WatchJobs.
grpc::ServerWriteReactor<orch::v1::WatchJobsResponse>* StartWatchJobs(
    std::shared_ptr<ServiceCore> core, CallerEvidence who, orch::v1::WatchJobsRequest request);
// NodeService.DiscoverNodes: a node.ping job, read by the same cursor.
grpc::ServerWriteReactor<orch::v1::DiscoverNodesResponse>* StartDiscoverNodes(
    std::shared_ptr<ServiceCore> core, CallerEvidence who, orch::v1::DiscoverNodesRequest request,
    std::string traceparent);
// NodeService.WatchNodes.
grpc::ServerWriteReactor<orch::v1::WatchNodesResponse>* StartWatchNodes(
    std::shared_ptr<ServiceCore> core, CallerEvidence who, orch::v1::WatchNodesRequest request);

// Ids of readers of job logs and of the roster, unique in this process.
uint64_t NextReaderId();

}  // namespace orch::controller
