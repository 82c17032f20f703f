// SPDX-License-Identifier: Apache-2.0
// Watches over all jobs and nodes, summaries and masks, as callers get them.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "controller/service/service_fixture.h"
#include "controller/service/watch_token.h"

namespace orch::controller {
namespace {

using namespace orch::v1;  // NOLINT: every message of the service is named here

class WatchServiceTest : public ServiceFixture {
 protected:
  static JobNode Ran(const std::string& name) {
    JobNode node;
    node.set_node(name);
    node.set_state(NODE_STATE_SUCCEEDED);
    ResourceChange* change = node.mutable_result()->mutable_puppet_run()->add_changes();
    change->set_resource("File[/etc/shadow]");
    change->set_diff("-root:secret");
    return node;
  }
};

TEST(WatchTokenTest, OnlyWhatWasGivenIsTaken) {
  const WatchCursor cursor{0xfeed, 42};
  EXPECT_EQ(TokenOf(cursor), "feed-2a");
  EXPECT_EQ(CursorOf("t", TokenOf(cursor))->process, 0xfeedu);
  EXPECT_EQ(CursorOf("t", TokenOf(cursor))->revision, 42u);
  EXPECT_EQ(CursorOf("t", "")->process, 0u);
  for (const char* bad : {"x", "1", "1-", "-1", "0-1", "1-1-1", "zz-1", "10000000000000000-1"}) {
    EXPECT_EQ(CursorOf("resume_token", bad).status().code(), absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

TEST_F(WatchServiceTest, JobsThatMatchWithATokenBehindThem) {
  Start();
  JobSpec run;
  run.mutable_action()->mutable_puppet_run();
  dispatcher_.PostAddJob(TestUlid(1), "local=insecure");
  dispatcher_.PostAddJob(TestUlid(2), "cert=other", run);
  WatchJobsRequest request;
  request.mutable_filter()->add_actions("puppet.*");
  grpc::ClientContext context;
  Limit(&context);
  auto stream = Jobs()->WatchJobs(&context, request);
  WatchJobsResponse first;
  ASSERT_TRUE(stream->Read(&first));
  ASSERT_EQ(first.jobs_size(), 1);
  EXPECT_EQ(first.jobs(0).name(), absl::StrCat("jobs/", TestUlid(2)));
  EXPECT_FALSE(first.resume_token().empty());
  EXPECT_FALSE(first.reset());
  context.TryCancel();
  // Another process knows nothing of the token.
  grpc::ClientContext again;
  Limit(&again);
  request.set_resume_token("abc-1");
  stream = Jobs()->WatchJobs(&again, request);
  ASSERT_TRUE(stream->Read(&first));
  EXPECT_TRUE(first.reset());
  again.TryCancel();
}

TEST_F(WatchServiceTest, WhatIsNoWatchIsRefused) {
  Start();
  for (const bool bad_filter : {true, false}) {
    WatchJobsRequest request;
    if (bad_filter) request.mutable_filter()->add_actions("*");
    if (!bad_filter) request.set_resume_token("nonsense");
    grpc::ClientContext context;
    Limit(&context);
    const auto stream = Jobs()->WatchJobs(&context, request);
    WatchJobsResponse message;
    EXPECT_FALSE(stream->Read(&message));
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(WatchServiceTest, MasksLeaveOnlyWhatIsNamed) {
  Start();
  dispatcher_.PostAddJob(TestUlid(1), "local=insecure");
  ListJobsRequest request;
  request.mutable_read_mask()->add_paths("name");
  ListJobsResponse page;
  ASSERT_TRUE(Call(Jobs(), &JobService::Stub::ListJobs, request, &page).ok());
  ASSERT_EQ(page.jobs_size(), 1);
  EXPECT_FALSE(page.jobs(0).name().empty());
  EXPECT_FALSE(page.jobs(0).has_spec());
  request.mutable_read_mask()->add_paths("no_such_field");
  const grpc::Status status = Call(Jobs(), &JobService::Stub::ListJobs, request, &page);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(status.error_message().find("read_mask.paths[1]"), std::string::npos);
}

TEST_F(WatchServiceTest, NodesWithChosenFactsInSomeStates) {
  Start();
  for (const char* name : {"a", "b"}) {
    Node node;
    node.set_name(absl::StrCat("nodes/", name));
    node.set_identity(name);
    node.add_collectives("main");
    node.set_state(*name == 'a' ? ROSTER_STATE_PRESENT : ROSTER_STATE_GONE);
    google::protobuf::Struct os;
    (*os.mutable_fields())["family"].set_string_value("Debian");
    *(*node.mutable_facts()->mutable_fields())["os"].mutable_struct_value() = os;
    node.mutable_facts_time()->set_seconds(1);
    dispatcher_.PostNode(node);
  }
  ListNodesRequest request;
  request.add_states(ROSTER_STATE_PRESENT);
  request.add_facts("os.family");
  request.add_facts("os.none");
  ListNodesResponse page;
  ASSERT_TRUE(Call(Nodes(), &NodeService::Stub::ListNodes, request, &page).ok());
  ASSERT_EQ(page.nodes_size(), 1);
  EXPECT_EQ(page.nodes(0).identity(), "a");
  ASSERT_EQ(page.nodes(0).facts().fields_size(), 1);
  EXPECT_EQ(page.nodes(0).facts().fields().at("os.family").string_value(), "Debian");
  for (int i = 0; i < 40; ++i) request.add_facts("x");
  EXPECT_EQ(Call(Nodes(), &NodeService::Stub::ListNodes, request, &page).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(WatchServiceTest, TheEndOfTheFirstListingIsSaid) {
  Start();
  grpc::ClientContext context;
  Limit(&context);
  auto stream = Nodes()->WatchNodes(&context, WatchNodesRequest());
  WatchNodesResponse message;
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_EQ(message.nodes_size(), 0);
  EXPECT_FALSE(message.resume_token().empty());
  Node node;
  node.set_name("nodes/a");
  node.set_identity("a");
  node.add_collectives("main");
  dispatcher_.PostNode(node);
  ASSERT_TRUE(stream->Read(&message));
  ASSERT_EQ(message.nodes_size(), 1);
  EXPECT_FALSE(message.resume_token().empty());
  context.TryCancel();
}

TEST_F(WatchServiceTest, ASummaryHasEveryNode) {
  Start();
  dispatcher_.PostAddJob(TestUlid(1), "local=insecure");
  SummarizeJobRequest request;
  request.set_name(absl::StrCat("jobs/", TestUlid(1)));
  SummarizeJobResponse response;
  ASSERT_TRUE(Call(Jobs(), &JobService::Stub::SummarizeJob, request, &response).ok());
  uint32_t nodes = 0;
  for (const JobGroup& group : response.summary().groups()) nodes += group.count();
  EXPECT_EQ(nodes, 120u);
  EXPECT_EQ(response.summary().job().name(), request.name());
  request.set_name("jobs/" + TestUlid(9));
  EXPECT_EQ(Call(Jobs(), &JobService::Stub::SummarizeJob, request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(WatchServiceTest, DifferencesAreForWhoHasTheRight) {
  policy_ =
      "rules:\n  - {effect: allow, callers: [local=insecure], actions: ['node.*', job.get]}\n";
  Start();
  dispatcher_.PostAddJob(TestUlid(1), "local=insecure");
  JobEvent event;
  *event.mutable_node() = Ran("a");
  dispatcher_.PostAppend(TestUlid(1), event);
  grpc::ClientContext context;
  Limit(&context);
  WatchJobRequest request;
  request.set_name(absl::StrCat("jobs/", TestUlid(1)));
  auto stream = Jobs()->WatchJob(&context, request);
  WatchJobResponse message;
  const ResourceChange* change = nullptr;
  while (change == nullptr && stream->Read(&message)) {
    for (const JobEvent& one : message.events()) {
      if (one.has_node()) change = &one.node().result().puppet_run().changes(0);
    }
  }
  ASSERT_NE(change, nullptr);
  EXPECT_EQ(change->diff(), "");
  EXPECT_EQ(change->diff_omitted(), "not_permitted");
  context.TryCancel();
}

}  // namespace
}  // namespace orch::controller
