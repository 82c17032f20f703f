// SPDX-License-Identifier: Apache-2.0
#include "controller/dispatcher/dispatcher_fixture.h"

#include <utility>

#include "base/asio.h"

namespace orch::controller {
namespace {

bus::Client::Options ClientOptions() {
  bus::Client::Options options;
  options.config.add_brokers("memory");
  options.config.mutable_reconnect_min()->set_nanos(1'000'000);
  options.config.mutable_reconnect_max()->set_nanos(5'000'000);
  return options;
}

}  // namespace

DispatcherTest::DispatcherTest()
    : work_(boost::asio::make_work_guard(io_)),
      strand_(io_.get_executor()),
      bus_strand_(io_.get_executor()),
      broker_strand_(io_.get_executor()),
      node_strand_(io_.get_executor()),
      credentials_(orch::testing::NewCredentials(&ca_, "c1", trust::Role::kController)) {
  StartBroker();
  options_.controller = "c1";
  options_.store_path = orch::testing::NewTestDirectory() + "/orch.db";
  StartController();
}

base::Awaitable<absl::StatusOr<std::unique_ptr<bus::Stream>>> SwitchedStreams::Connect(
    base::Strand strand, std::string address) {
  if (*broker_ == nullptr) co_return absl::UnavailableError("nobody listens");
  const std::shared_ptr<bus::StreamFactory> streams = (*broker_)->MemoryStreams(as_);
  auto stream = co_await streams->Connect(strand, address);
  co_return stream;
}

void DispatcherTest::StartBroker() {
  broker_ = std::make_unique<bus::Broker>(broker_strand_, bus::BrokerConfig(), nullptr);
}

void DispatcherTest::KillBroker() {
  bool stopped = false;
  boost::asio::post(broker_strand_,
                    [this, &stopped] { broker_->Stop([&stopped] { stopped = true; }); });
  Until([&stopped] { return stopped; });
  broker_.reset();
}

DispatcherTest::~DispatcherTest() { KillController(); }

void DispatcherTest::StartController() {
  client_ = std::make_unique<bus::Client>(
      bus_strand_, ClientOptions(),
      std::make_shared<SwitchedStreams>(&broker_, credentials_->self()));
  auto dispatcher = Dispatcher::Open({.io = &io_,
                                      .strand = strand_,
                                      .bus_strand = bus_strand_,
                                      .client = client_.get(),
                                      .credentials = credentials_,
                                      .audit = audit_,
                                      .start_budget = budget_},
                                     options_);
  ASSERT_TRUE(dispatcher.ok()) << dispatcher.status();
  dispatcher_ = *std::move(dispatcher);
  Post([](Dispatcher& there) { there.Start(); });
  Until([this] { return Status().bus_connected; });
}

void DispatcherTest::KillController() {
  if (dispatcher_ == nullptr) return;
  dispatcher_.reset();
  bool stopped = false;
  boost::asio::post(bus_strand_,
                    [this, &stopped] { client_->Stop([&stopped] { stopped = true; }); });
  orch::testing::RunUntil(&io_, [&stopped] { return stopped; });
  orch::testing::RunReady(&io_);
  client_.reset();
}

orch::testing::SimNode* DispatcherTest::AddQuietNode(const std::string& name,
                                                     orch::testing::SimNodeOptions options) {
  Member& member = nodes_[name];
  options.identity = name;
  auto credentials = orch::testing::NewCredentials(&ca_, name, trust::Role::kNode);
  member.client = std::make_unique<bus::Client>(
      node_strand_, ClientOptions(),
      std::make_shared<SwitchedStreams>(&broker_, credentials->self()));
  member.node = std::make_unique<orch::testing::SimNode>(
      orch::testing::SimNode::Parts{.client = member.client.get(), .credentials = credentials},
      std::move(options));
  boost::asio::post(node_strand_, [&member] {
    member.node->Attach();
    member.client->Start([&member](bool connected) { member.connected = connected; });
  });
  Until([&member] { return member.connected; });
  return member.node.get();
}

orch::testing::SimNode* DispatcherTest::AddNode(const std::string& name,
                                                orch::testing::SimNodeOptions options) {
  orch::testing::SimNode* added = AddQuietNode(name, std::move(options));
  boost::asio::post(node_strand_, [added] { added->SendPresence(true, true); });
  Until([&] { return GetNode(name).ok(); });
  return added;
}

AdmittedJob DispatcherTest::Ping() {
  AdmittedJob job;
  job.caller = "cert=operator";
  job.spec.mutable_action()->mutable_node_ping();
  job.decision.otherwise = policy::Effect::kAllow;
  return job;
}

AdmittedJob DispatcherTest::PuppetRun() {
  AdmittedJob job = Ping();
  job.spec.mutable_action()->mutable_puppet_run();
  return job;
}

absl::StatusOr<CreatedJob> DispatcherTest::Create(AdmittedJob job) {
  return Await<absl::StatusOr<CreatedJob>>(
      [&](auto done) { Post([job, done](Dispatcher& there) { there.CreateJob(job, done); }); });
}

std::string DispatcherTest::Run(AdmittedJob job) {
  auto created = Create(std::move(job));
  EXPECT_TRUE(created.ok()) << created.status();
  return created.ok() ? created->job.name().substr(5) : "";
}

orch::v1::Job DispatcherTest::Get(const std::string& id) {
  auto job = Await<absl::StatusOr<orch::v1::Job>>([&](auto done) {
    Post([id, done](Dispatcher& there) {
      there.GetJob(id, {.caller = "cert=operator", .everybody = false}, done);
    });
  });
  EXPECT_TRUE(job.ok()) << job.status();
  return job.ok() ? *job : orch::v1::Job();
}

std::vector<std::shared_ptr<const orch::v1::JobEvent>> DispatcherTest::Follow(const std::string& id,
                                                                              uint64_t after) {
  std::vector<std::shared_ptr<const orch::v1::JobEvent>> log;
  const uint64_t reader = next_reader_++;
  while (true) {
    auto part = Await<absl::StatusOr<JobLogPart>>([&](auto done) {
      Post([reader, id, after, done](Dispatcher& there) {
        there.ReadLog(reader, id, {.caller = "cert=operator", .everybody = false}, after, 300,
                      done);
      });
    });
    EXPECT_TRUE(part.ok()) << part.status();
    if (!part.ok()) return log;
    for (const auto& event : part->events) {
      EXPECT_EQ(event->sequence(), ++after);
      log.push_back(event);
    }
    if (part->ended) return log;
    if (part->events.empty()) {
      ADD_FAILURE() << "an answer without news";
      return log;
    }
  }
}

orch::v1::Job DispatcherTest::End(const std::string& id) {
  const auto log = Follow(id);
  EXPECT_TRUE(!log.empty() && log.back()->has_finished());
  return Get(id);
}

std::map<std::string, orch::v1::JobNode> DispatcherTest::Nodes(const std::string& id) {
  std::map<std::string, orch::v1::JobNode> nodes;
  std::string token;
  do {
    auto page = Await<absl::StatusOr<JobNodePage>>([&](auto done) {
      Post([id, token, done](Dispatcher& there) {
        there.ListJobNodes({.job_id = id, .page_size = 2, .page_token = token},
                           {.caller = "cert=operator", .everybody = false}, done);
      });
    });
    EXPECT_TRUE(page.ok()) << page.status();
    if (!page.ok()) return nodes;
    for (const orch::v1::JobNode& one : page->nodes) nodes[one.node()] = one;
    token = page->next_page_token;
  } while (!token.empty());
  return nodes;
}

absl::StatusOr<orch::v1::Job> DispatcherTest::Change(JobChange change, const std::string& id,
                                                     const std::string& caller,
                                                     const std::string& reason) {
  const JobChangeRequest request{change, id, caller, reason};
  return Await<absl::StatusOr<orch::v1::Job>>([&](auto done) {
    Post([request, done](Dispatcher& there) { there.ChangeJob(request, done); });
  });
}

absl::StatusOr<orch::v1::Job> DispatcherTest::Cancel(const std::string& id) {
  return Change(JobChange::kCancel, id, "cert=operator", "enough");
}

absl::StatusOr<orch::v1::Node> DispatcherTest::GetNode(const std::string& name) {
  return Await<absl::StatusOr<orch::v1::Node>>(
      [&](auto done) { Post([name, done](Dispatcher& there) { there.GetNode(name, done); }); });
}

DispatcherStatus DispatcherTest::Status() {
  return Await<DispatcherStatus>(
      [&](auto done) { Post([done](Dispatcher& there) { done(there.Status()); }); });
}

DispatcherMetrics DispatcherTest::Metrics() {
  return Await<DispatcherMetrics>(
      [&](auto done) { Post([done](Dispatcher& there) { done(there.Metrics()); }); });
}

}  // namespace orch::controller
