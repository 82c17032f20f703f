// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "absl/strings/str_replace.h"
#include "bus/stomp/address.h"
#include "controller/service/service_fixture.h"
#include "grpc/health/v1/health.pb.h"
#include "grpcpp/generic/generic_stub.h"

namespace orch::controller {
namespace {

using namespace orch::v1;  // NOLINT: messages of the services

class ServiceTest : public ServiceFixture {
 protected:
  void AddNodes(int count) {
    for (int i = 0; i < count; ++i) {
      Node node;
      node.set_identity(absl::StrCat("node", 1000 + i));
      node.set_name(absl::StrCat("nodes/", node.identity()));
      node.set_state(ROSTER_STATE_PRESENT);
      node.add_collectives("main");
      node.mutable_facts_time()->set_seconds(1);
      (*node.mutable_facts()->mutable_fields())["role"].set_string_value(i % 2 == 0 ? "web" : "db");
      dispatcher_.PostNode(node);
    }
  }
};

TEST_F(ServiceTest, CreatesGetsAndCancelsJobs) {
  Start();
  CreateJobRequest create;
  create.mutable_spec()->mutable_action()->mutable_puppet_run();
  CreateJobResponse created;
  ASSERT_TRUE(Call(Jobs(), &JobService::Stub::CreateJob, create, &created).ok());
  GetJobRequest get;
  get.set_name(created.job().name());
  GetJobResponse got;
  ASSERT_TRUE(Call(Jobs(), &JobService::Stub::GetJob, get, &got).ok());
  EXPECT_EQ(got.job().name(), created.job().name());
  CancelJobRequest cancel;
  cancel.set_name(created.job().name());
  CancelJobResponse cancelled;
  ASSERT_TRUE(Call(Jobs(), &JobService::Stub::CancelJob, cancel, &cancelled).ok());
  EXPECT_EQ(Seen().changes.size(), 1u);
  get.set_name("nonsense");
  EXPECT_EQ(Call(Jobs(), &JobService::Stub::GetJob, get, &got).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(services_->counts().total(absl::StatusCode::kOk), 3u);
  EXPECT_EQ(services_->counts().by_method().at("JobService/GetJob")[0], 1u);
  EXPECT_EQ(services_->counts().by_method().at("JobService/GetJob")[3], 1u);
}

TEST_F(ServiceTest, TracesAreTakenOverIfTheyAreSound) {
  Start();
  constexpr char kGood[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const std::vector<std::vector<std::string>> headers = {
      {kGood},
      {},
      {std::string(kGood) + "-00"},
      {kGood, kGood},
      {"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"}};
  for (const std::vector<std::string>& sent : headers) {
    grpc::ClientContext context;
    Limit(&context);
    for (const std::string& header : sent) context.AddMetadata("traceparent", header);
    CreateJobRequest create;
    create.mutable_spec()->mutable_action()->mutable_puppet_run();
    CreateJobResponse created;
    ASSERT_TRUE(Jobs()->CreateJob(&context, create, &created).ok());
  }
  const auto admitted = Seen().admitted;
  ASSERT_EQ(admitted.size(), headers.size());
  EXPECT_EQ(admitted[0].traceparent, kGood);
  for (size_t i = 1; i < admitted.size(); ++i) EXPECT_EQ(admitted[i].traceparent, "") << i;
}

TEST_F(ServiceTest, ListsJobsInPages) {
  Start();
  for (int i = 0; i < 7; ++i) dispatcher_.PostAddJob(TestUlid(i), "local=insecure");
  ListJobsRequest request;
  request.set_page_size(3);
  std::set<std::string> names;
  int pages = 0;
  do {
    ListJobsResponse page;
    ASSERT_TRUE(Call(Jobs(), &JobService::Stub::ListJobs, request, &page).ok());
    for (const Job& job : page.jobs()) names.insert(job.name());
    request.set_page_token(page.next_page_token());
  } while (++pages < 10 && !request.page_token().empty());
  EXPECT_EQ(names.size(), 7u);
  EXPECT_EQ(pages, 3);
}

TEST_F(ServiceTest, AFieldThatNobodyKnowsIsRefused) {
  Start();
  CreateJobRequest create;
  create.mutable_spec()->mutable_action()->mutable_node_ping();
  create.GetReflection()->MutableUnknownFields(&create)->AddVarint(99, 1);
  CreateJobResponse created;
  grpc::Status status = Call(Jobs(), &JobService::Stub::CreateJob, create, &created);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "CreateJobRequest: unknown field 99 in CreateJobRequest");
  GetJobRequest get;
  get.set_name(absl::StrCat("jobs/", TestUlid(1)));
  get.GetReflection()->MutableUnknownFields(&get)->AddVarint(99, 1);
  GetJobResponse got;
  status = Call(Jobs(), &JobService::Stub::GetJob, get, &got);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServiceTest, ARequestThatDoesNotParseIsTheCallersMistake) {
  Start();
  GetJobRequest get;
  get.set_name("\xff");  // no text: no such message
  GetJobResponse got;
  const grpc::Status unary = Call(Jobs(), &JobService::Stub::GetJob, get, &got);
  EXPECT_EQ(unary.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ReasonOf(unary), "INVALID_ARGUMENT");
  WatchJobRequest watch;
  watch.set_name("\xff");
  grpc::ClientContext context;
  Limit(&context);
  const auto stream = Jobs()->WatchJob(&context, watch);
  WatchJobResponse message;
  EXPECT_FALSE(stream->Read(&message));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServiceTest, LargeNodesMakeSmallPages) {
  Start();
  dispatcher_.PostAddJob(TestUlid(1), "local=insecure");
  ListJobNodesRequest request;
  request.set_parent(absl::StrCat("jobs/", TestUlid(1)));
  request.set_page_size(1000);
  int nodes = 0;
  do {
    ListJobNodesResponse page;
    const grpc::Status status = Call(Jobs(), &JobService::Stub::ListJobNodes, request, &page);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_GT(page.nodes_size(), 0);
    nodes += page.nodes_size();
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(nodes, 120);
}

TEST_F(ServiceTest, ListsNodesInPagesWithoutTheirFacts) {
  Start();
  AddNodes(250);
  ListNodesRequest request;
  request.set_page_size(100);
  request.mutable_target()->add_facts("role=web");
  std::vector<std::string> names;
  do {
    ListNodesResponse page;
    ASSERT_TRUE(Call(Nodes(), &NodeService::Stub::ListNodes, request, &page).ok());
    for (const Node& node : page.nodes()) {
      names.push_back(node.identity());
      EXPECT_FALSE(node.has_facts());
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(names.size(), 125u);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  request.set_page_token("?");
  ListNodesResponse page;
  EXPECT_EQ(Call(Nodes(), &NodeService::Stub::ListNodes, request, &page).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServiceTest, DiscoversWhoAnswersAndWhoIsSilent) {
  Start();
  grpc::ClientContext context;
  Limit(&context);
  auto reader = Nodes()->DiscoverNodes(&context, DiscoverNodesRequest());
  ASSERT_TRUE(Eventually([&] { return Seen().readers == 1; }));
  JobEvent answered, silent;
  answered.mutable_node()->set_node("web1");
  answered.mutable_node()->set_state(NODE_STATE_SUCCEEDED);
  silent.mutable_node()->set_node("db1");
  silent.mutable_node()->set_state(NODE_STATE_NO_RESPONSE);
  dispatcher_.PostAppend(TestUlid(1), answered);
  DiscoverNodesResponse message;
  ASSERT_TRUE(reader->Read(&message));
  ASSERT_EQ(message.nodes_size(), 1);
  EXPECT_EQ(message.nodes(0).name(), "nodes/web1");
  dispatcher_.PostAppend(TestUlid(1), silent);
  dispatcher_.PostFinish(TestUlid(1), JOB_STATE_FAILED);
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_EQ(message.nodes_size(), 0);
  ASSERT_EQ(message.silent_size(), 1);
  EXPECT_EQ(message.silent(0).identity(), "db1");
  EXPECT_FALSE(reader->Read(&message));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(ServiceTest, WatchesNodes) {
  Start();
  AddNodes(3);
  grpc::ClientContext context;
  Limit(&context);
  auto reader = Nodes()->WatchNodes(&context, WatchNodesRequest());
  std::set<std::string> names;
  WatchNodesResponse message;
  while (names.size() < 3 && reader->Read(&message)) {
    for (const Node& node : message.nodes()) names.insert(node.identity());
  }
  EXPECT_EQ(names.size(), 3u);
  Node late;
  late.set_identity("zulu");
  late.add_collectives("main");
  dispatcher_.PostNode(late);
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_EQ(message.nodes(0).identity(), "zulu");
  context.TryCancel();
  reader->Finish();
  EXPECT_TRUE(Eventually([&] { return Seen().node_watchers == 0; }));
}

TEST_F(ServiceTest, ExplainsPolicyAndTarget) {
  Start();
  AddNodes(10);
  ExplainPolicyRequest question;
  question.set_action("puppet.run");
  ExplainPolicyResponse answer;
  ASSERT_TRUE(Call(Policies(), &PolicyService::Stub::ExplainPolicy, question, &answer).ok());
  EXPECT_EQ(answer.effect(), POLICY_EFFECT_ALLOW);
  EXPECT_EQ(answer.allowed_nodes(), 10u);
  EXPECT_FALSE(answer.steps().empty());
  question.set_action("puppet.disable");
  ASSERT_TRUE(Call(Policies(), &PolicyService::Stub::ExplainPolicy, question, &answer).ok());
  EXPECT_EQ(answer.effect(), POLICY_EFFECT_DENY);
  EXPECT_EQ(answer.denied_nodes(), 10u);
  question.add_nodes("node1000");
  question.add_nodes("elsewhere");
  ASSERT_TRUE(Call(Policies(), &PolicyService::Stub::ExplainPolicy, question, &answer).ok());
  EXPECT_EQ(answer.denied_nodes(), 1u);
  ExplainTargetRequest target;
  target.mutable_target()->add_facts("role=web");
  target.mutable_target()->add_identities("/node100[0-3]/");
  target.set_node("node1001");
  ExplainTargetResponse explained;
  ASSERT_TRUE(Call(Policies(), &PolicyService::Stub::ExplainTarget, target, &explained).ok());
  EXPECT_EQ(explained.nodes(), 10u);
  ASSERT_EQ(explained.clauses_size(), 2);
  EXPECT_EQ(explained.clauses(1).nodes_left(), 2u);
  EXPECT_TRUE(explained.clauses(0).node_matches()) << "the name";
  EXPECT_FALSE(explained.clauses(1).node_matches()) << "the role";
  EXPECT_EQ(explained.clauses(1).why(), "role is \"db\"");
  EXPECT_EQ(
      explained.verdict(),
      "node1001 does not match: clause 2 (fact role is \"web\") does not hold: role is \"db\"");
  target.add_nodes("node1000");
  target.add_nodes("node1001");
  target.add_nodes("elsewhere");
  ASSERT_TRUE(Call(Policies(), &PolicyService::Stub::ExplainTarget, target, &explained).ok());
  EXPECT_EQ(explained.nodes(), 2u);
  EXPECT_EQ(explained.clauses(1).nodes_left(), 1u);
  EXPECT_FALSE(explained.matches());
  target.set_node("node1002");  // it has the role and the name, but is not named
  ASSERT_TRUE(Call(Policies(), &PolicyService::Stub::ExplainTarget, target, &explained).ok());
  EXPECT_FALSE(explained.matches());
  EXPECT_EQ(explained.verdict(), "node1002 does not match: it is not one of the named nodes");
  target.add_nodes("node1002");
  ASSERT_TRUE(Call(Policies(), &PolicyService::Stub::ExplainTarget, target, &explained).ok());
  EXPECT_TRUE(explained.matches()) << explained.verdict();
  target.set_pql("nodes[certname]{}");
  EXPECT_EQ(Call(Policies(), &PolicyService::Stub::ExplainTarget, target, &explained).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  target.clear_pql();
  target.set_node("nobody");
  const grpc::Status status =
      Call(Policies(), &PolicyService::Stub::ExplainTarget, target, &explained);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ServiceTest, ExplainingATargetTellsNothingOfNodesThatMayNotBeSeen) {
  policy_ = R"(
rules:
  - {effect: allow, callers: [local=insecure], actions: [node.list], where: role=web}
)";
  Start();
  AddNodes(10);
  ExplainTargetRequest request;
  request.mutable_target()->add_select("role=db or puppet().enabled=true");
  request.mutable_target()->add_select("role=web");
  ExplainTargetResponse explained;
  ASSERT_TRUE(Call(Policies(), &PolicyService::Stub::ExplainTarget, request, &explained).ok());
  EXPECT_EQ(explained.nodes(), 5u);
  EXPECT_EQ(explained.clauses(0).nodes_left(), 5u) << "not those with role=db";
  EXPECT_EQ(explained.clauses(0).nodes_unknown(), 5u);
  EXPECT_EQ(explained.clauses(1).nodes_left(), 5u);
  EXPECT_EQ(explained.clauses(1).nodes_unknown(), 5u);
  request.set_node("node1000");
  ASSERT_TRUE(Call(Policies(), &PolicyService::Stub::ExplainTarget, request, &explained).ok());
  EXPECT_EQ(explained.verdict().substr(0, 20), "node1000 may match: ");
  // A node that may not be seen, and one that is not there: the same.
  request.set_node("node1001");
  const grpc::Status hidden =
      Call(Policies(), &PolicyService::Stub::ExplainTarget, request, &explained);
  request.set_node("node9999");
  const grpc::Status missing =
      Call(Policies(), &PolicyService::Stub::ExplainTarget, request, &explained);
  EXPECT_EQ(hidden.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(missing.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(absl::StrReplaceAll(hidden.error_message(), {{"node1001", "node9999"}}),
            missing.error_message());
}

TEST_F(ServiceTest, TellsWhoCallsAndListsTheAudit) {
  Start();
  WhoAmIResponse who;
  ASSERT_TRUE(Call(Policies(), &PolicyService::Stub::WhoAmI, WhoAmIRequest(), &who).ok());
  EXPECT_EQ(who.caller(), "local=insecure");
  EXPECT_FALSE(who.version().empty());
  for (int i = 0; i < 3; ++i) {
    CreateJobRequest create;
    create.mutable_spec()->mutable_action()->mutable_node_ping();
    CreateJobResponse created;
    ASSERT_TRUE(Call(Jobs(), &JobService::Stub::CreateJob, create, &created).ok());
  }
  ListAuditRequest request;
  request.set_page_size(2);
  ListAuditResponse page;
  auto audits = AuditService::NewStub(channel_);
  ASSERT_TRUE(Call(audits, &AuditService::Stub::ListAudit, request, &page).ok());
  ASSERT_EQ(page.records_size(), 2);
  EXPECT_EQ(page.records(0).sequence(), 3u);
  request.set_page_token(page.next_page_token());
  ASSERT_TRUE(Call(audits, &AuditService::Stub::ListAudit, request, &page).ok());
  ASSERT_EQ(page.records_size(), 1);
  EXPECT_EQ(page.next_page_token(), "");
}

TEST_F(ServiceTest, HealthFollowsWhatItIsTold) {
  Start();
  const auto ask = [&] {
    grpc::ClientContext context;
    Limit(&context);
    grpc::health::v1::HealthCheckRequest request;
    request.set_service("orch.v1.JobService");
    grpc::TemplatedGenericStub<grpc::health::v1::HealthCheckRequest,
                               grpc::health::v1::HealthCheckResponse>
        stub(channel_);
    std::promise<grpc::Status> done;
    grpc::health::v1::HealthCheckResponse response;
    stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &request, &response,
                   [&](grpc::Status status) { done.set_value(status); });
    EXPECT_TRUE(done.get_future().get().ok());
    return response.status();
  };
  EXPECT_EQ(ask(), grpc::health::v1::HealthCheckResponse::NOT_SERVING);
  services_->SetServing(true);
  EXPECT_EQ(ask(), grpc::health::v1::HealthCheckResponse::SERVING);
}

TEST_F(ServiceTest, TooManyCallsAreRefused) {
  options_.calls_max = 0;
  Start();
  WhoAmIResponse who;
  const grpc::Status status = Call(Policies(), &PolicyService::Stub::WhoAmI, WhoAmIRequest(), &who);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonOf(status), "TOO_MANY_CALLS");
}

TEST_F(ServiceTest, ARightThatIsTakenAwayEndsTheWatchOfNodes) {
  options_.heartbeat = absl::Milliseconds(20);
  Start();
  AddNodes(1);
  grpc::ClientContext context;
  Limit(&context);
  auto reader = Nodes()->WatchNodes(&context, WatchNodesRequest());
  WatchNodesResponse message;
  ASSERT_TRUE(reader->Read(&message));
  gate_->PostSetPolicy(*policy::Policy::ParseNative("rules: []", "new.yaml"), "new.yaml");
  while (reader->Read(&message)) {
  }
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED) << status.error_message();
}

TEST_F(ServiceTest, ABusyAddressIsNamed) {
  Start();
  ServiceOptions options = options_;
  options.listen = services_->address();
  const auto second = Services::Start({.io = &io_,
                                       .gate = gate_,
                                       .dispatcher = dispatcher_.port(),
                                       .audit = audit_.get(),
                                       .credentials = nullptr},
                                      options);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(second.status().message(),
            absl::StrCat("listen ", options.listen, ": Address already in use"));
}

TEST_F(ServiceTest, StrangersThatTakeAllDescriptorsEndNothing) {
  Start();
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit low = {.rlim_cur = 400, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  const auto address = bus::ParseAddress(services_->address());
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(address->port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // Theirs and ours together are more than there are for connections; theirs alone are not.
  std::vector<int> strangers;
  for (int i = 0; i < 180; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) break;
    strangers.push_back(fd);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) break;
  }
  EXPECT_EQ(strangers.size(), 180u);
  // Some were turned away, and so the rest of the process can still open what it needs.
  const auto turned_away = [&] {
    return std::any_of(strangers.begin(), strangers.end(), [](int fd) {
      pollfd poll_fd = {.fd = fd, .events = POLLRDHUP, .revents = 0};
      return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & (POLLRDHUP | POLLHUP)) != 0;
    });
  };
  EXPECT_TRUE(Eventually(turned_away));
  const int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_GE(file, 0) << "descriptors were left";
  close(file);
  for (const int fd : strangers) close(fd);
  ListJobsRequest request;
  ListJobsResponse response;
  grpc::ClientContext context;
  Limit(&context);
  context.set_wait_for_ready(true);
  EXPECT_TRUE(Jobs()->ListJobs(&context, request, &response).ok());
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_F(ServiceTest, InsecureIsForLoopback) {
  Start();
  ServiceOptions options = options_;
  options.listen = "0.0.0.0:0";
  const auto second = Services::Start({.io = &io_,
                                       .gate = gate_,
                                       .dispatcher = dispatcher_.port(),
                                       .audit = audit_.get(),
                                       .credentials = nullptr},
                                      options);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace orch::controller
