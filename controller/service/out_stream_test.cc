// SPDX-License-Identifier: Apache-2.0
#include "controller/service/service_fixture.h"

namespace orch::controller {
namespace {

using namespace orch::v1;  // NOLINT: messages of the services

class JobStreamTest : public ServiceFixture {
 protected:
  struct Watch {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<WatchJobResponse>> reader;
  };
  std::unique_ptr<Watch> Begin(int job, uint64_t after, absl::Duration limit = kPatience) {
    auto out = std::make_unique<Watch>();
    Limit(&out->context, limit);
    WatchJobRequest request;
    request.set_name(absl::StrCat("jobs/", TestUlid(job)));
    request.set_after_sequence(after);
    out->reader = Stub()->WatchJob(&out->context, request);
    return out;
  }
  std::unique_ptr<JobService::Stub> Stub() { return JobService::NewStub(channel_); }
  static JobEvent Progress(const std::string& text) {
    JobEvent event;
    event.mutable_progress()->set_node("node1");
    event.mutable_progress()->mutable_progress()->mutable_puppet_run()->set_message(text);
    return event;
  }
  static RunJobRequest Ping() {
    RunJobRequest request;
    request.mutable_spec()->mutable_action()->mutable_node_ping();
    return request;
  }
};

TEST_F(JobStreamTest, RunsAJobAndFollowsItToItsEnd) {
  Start();
  grpc::ClientContext context;
  Limit(&context);
  auto reader = Stub()->RunJob(&context, Ping());
  RunJobResponse message;
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_EQ(message.job().name(), absl::StrCat("jobs/", TestUlid(1)));
  EXPECT_EQ(message.job().caller(), "local=insecure");
  ASSERT_TRUE(reader->Read(&message));
  ASSERT_EQ(message.events_size(), 1);
  EXPECT_TRUE(message.events(0).has_started());
  EXPECT_FALSE(message.has_job());
  dispatcher_.PostAppend(TestUlid(1), Progress("hello"));
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_EQ(message.events(0).sequence(), 2u);
  dispatcher_.PostFinish(TestUlid(1), JOB_STATE_SUCCEEDED);
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_TRUE(message.events(0).has_finished());
  EXPECT_EQ(message.job().state(), JOB_STATE_SUCCEEDED) << "the last message has the job";
  EXPECT_FALSE(reader->Read(&message));
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_TRUE(Eventually([&] { return gate_->counts().watchers == 0; }));
}

TEST_F(JobStreamTest, ADryRunIsOneMessage) {
  Start();
  grpc::ClientContext context;
  Limit(&context);
  RunJobRequest request = Ping();
  request.set_validate_only(true);
  auto reader = Stub()->RunJob(&context, request);
  RunJobResponse message;
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_EQ(message.job().name(), "");
  EXPECT_FALSE(reader->Read(&message));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(JobStreamTest, ARefusalIsTheStatusOfTheStream) {
  Start();
  grpc::ClientContext context;
  Limit(&context);
  RunJobRequest request;
  request.mutable_spec()->mutable_action()->mutable_puppet_disable();
  auto reader = Stub()->RunJob(&context, request);
  RunJobResponse message;
  EXPECT_FALSE(reader->Read(&message));
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(ReasonOf(status), "POLICY_DENIED");
  EXPECT_TRUE(Seen().admitted.empty());
  EXPECT_EQ(gate_->counts().denied, 1u);
}

TEST_F(JobStreamTest, ResumesBehindASequenceNumberWithoutGaps) {
  Start();
  dispatcher_.PostAddJob(TestUlid(5), "local=insecure");
  for (int i = 0; i < 5000; ++i)
    dispatcher_.PostAppend(TestUlid(5), Progress(std::string(500, 'x')));
  dispatcher_.PostFinish(TestUlid(5), JOB_STATE_FAILED);
  auto watch = Begin(5, 1000);
  WatchJobResponse message;
  uint64_t next = 1001;
  int messages = 0;
  Job last;
  while (watch->reader->Read(&message)) {
    ++messages;
    EXPECT_LE(message.ByteSizeLong(), 300u << 10);
    for (const JobEvent& event : message.events()) EXPECT_EQ(event.sequence(), next++);
    if (message.has_job()) last = message.job();
  }
  EXPECT_TRUE(watch->reader->Finish().ok());
  EXPECT_EQ(next, 5003u);
  EXPECT_EQ(last.state(), JOB_STATE_FAILED);
  EXPECT_LT(messages, 30) << "what waits goes together";
}

TEST_F(JobStreamTest, AnEndedJobAtItsEndIsOneMessageMore) {
  Start();
  dispatcher_.PostAddJob(TestUlid(5), "local=insecure");
  dispatcher_.PostFinish(TestUlid(5), JOB_STATE_SUCCEEDED);
  auto watch = Begin(5, 2);
  WatchJobResponse message;
  ASSERT_TRUE(watch->reader->Read(&message));
  ASSERT_TRUE(watch->reader->Read(&message));
  EXPECT_EQ(message.job().state(), JOB_STATE_SUCCEEDED);
  EXPECT_EQ(message.events_size(), 0);
  EXPECT_FALSE(watch->reader->Read(&message));
  EXPECT_TRUE(watch->reader->Finish().ok());
}

TEST_F(JobStreamTest, ASlowReaderGetsEverythingAndDelaysNobody) {
  Start();
  dispatcher_.PostAddJob(TestUlid(5), "local=insecure");
  auto slow = Begin(5, 0);
  for (int i = 0; i < 3000; ++i)
    dispatcher_.PostAppend(TestUlid(5), Progress(std::string(2000, 'x')));
  dispatcher_.PostFinish(TestUlid(5), JOB_STATE_SUCCEEDED);
  const auto drain = [](Watch* watch) {
    WatchJobResponse message;
    uint64_t last = 0;
    while (watch->reader->Read(&message)) {
      for (const JobEvent& event : message.events()) {
        EXPECT_EQ(event.sequence(), last + 1);
        last = event.sequence();
      }
    }
    EXPECT_TRUE(watch->reader->Finish().ok());
    return last;
  };
  auto quick = Begin(5, 0);
  EXPECT_EQ(drain(quick.get()), 3002u);
  EXPECT_EQ(drain(slow.get()), 3002u);
}

TEST_F(JobStreamTest, SilenceIsFilledWithHeartbeats) {
  options_.heartbeat = absl::Milliseconds(20);
  Start();
  dispatcher_.PostAddJob(TestUlid(5), "local=insecure");
  auto watch = Begin(5, 1);
  WatchJobResponse message;
  ASSERT_TRUE(watch->reader->Read(&message));
  EXPECT_TRUE(message.has_job());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(watch->reader->Read(&message));
    EXPECT_TRUE(message.has_heartbeat());
    EXPECT_EQ(message.events_size(), 0);
    EXPECT_GT(message.heartbeat().time().seconds(), 0);
  }
  dispatcher_.PostFinish(TestUlid(5), JOB_STATE_SUCCEEDED);
  while (watch->reader->Read(&message)) {
  }
  EXPECT_TRUE(watch->reader->Finish().ok());
}

TEST_F(JobStreamTest, LeavingAWatchForgetsTheReaderAndNothingElse) {
  Start();
  dispatcher_.PostAddJob(TestUlid(5), "local=insecure");
  auto watch = Begin(5, 1);
  WatchJobResponse message;
  ASSERT_TRUE(watch->reader->Read(&message));
  ASSERT_TRUE(Eventually([&] { return Seen().readers == 1; }));
  watch->context.TryCancel();
  EXPECT_TRUE(Eventually([&] { return Seen().readers == 0; }));
  EXPECT_TRUE(Eventually([&] { return gate_->counts().watchers == 0; }));
  EXPECT_TRUE(Seen().changes.empty()) << "the job goes on";
  EXPECT_EQ(watch->reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(JobStreamTest, DeadlinesAreHonoured) {
  Start();
  dispatcher_.PostAddJob(TestUlid(5), "local=insecure");
  auto watch = Begin(5, 1, absl::Milliseconds(300));
  WatchJobResponse message;
  while (watch->reader->Read(&message)) {
  }
  EXPECT_EQ(watch->reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(Eventually([&] { return Seen().readers == 0; }));
}

TEST_F(JobStreamTest, BadWatchesAreToldWhy) {
  Start();
  dispatcher_.PostAddJob(TestUlid(5), "local=insecure");
  const auto status_of = [](std::unique_ptr<Watch> watch) {
    WatchJobResponse message;
    while (watch->reader->Read(&message)) {
    }
    return watch->reader->Finish();
  };
  EXPECT_EQ(status_of(Begin(5, 99)).error_code(), grpc::StatusCode::OUT_OF_RANGE);
  const grpc::Status missing = status_of(Begin(6, 0));
  EXPECT_EQ(missing.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonOf(missing), "JOB_NOT_FOUND");
  auto watch = std::make_unique<Watch>();
  Limit(&watch->context);
  watch->reader = Stub()->WatchJob(&watch->context, WatchJobRequest());
  EXPECT_EQ(status_of(std::move(watch)).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(JobStreamTest, TooManyWatchersAreRefused) {
  gate_options_.watchers_per_caller_max = 1;
  Start();
  dispatcher_.PostAddJob(TestUlid(5), "local=insecure");
  auto first = Begin(5, 0);
  WatchJobResponse message;
  ASSERT_TRUE(first->reader->Read(&message));
  auto second = Begin(5, 0);
  EXPECT_FALSE(second->reader->Read(&message));
  const grpc::Status status = second->reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonOf(status), "TOO_MANY_WATCHERS");
}

TEST_F(JobStreamTest, StoppingEndsStreams) {
  Start();
  dispatcher_.PostAddJob(TestUlid(5), "local=insecure");
  auto watch = Begin(5, 1);
  WatchJobResponse message;
  ASSERT_TRUE(watch->reader->Read(&message));
  std::thread stopper([&] { services_->Stop(absl::Seconds(5)); });
  while (watch->reader->Read(&message)) {
  }
  const grpc::Status status = watch->reader->Finish();
  stopper.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonOf(status), "STOPPING");
}

}  // namespace
}  // namespace orch::controller
