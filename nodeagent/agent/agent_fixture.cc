// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/agent/agent_fixture.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include "api/catalog.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/proto_time.h"

namespace orch::nodeagent {

using orch::bus::v1::Outcome;
using orch::bus::v1::Request;

namespace {

trust::Peer PeerOf(const trust::Credentials& credentials) { return credentials.self(); }

}  // namespace

std::vector<orch::v1::NodeAction> FakeActions::Offered() const {
  std::vector<orch::v1::NodeAction> out;
  for (const api::ActionInfo& info : api::Actions()) {
    orch::v1::NodeAction action;
    action.set_name(info.name);
    action.set_schema_digest(info.schema_digest);
    action.set_mutates(info.mutates);
    out.push_back(std::move(action));
  }
  return out;
}

void FakeActions::Start(ActionCall call) {
  if (call.action.has_node_ping()) {
    Outcome outcome;
    outcome.set_state(orch::v1::NODE_STATE_SUCCEEDED);
    outcome.mutable_result()->mutable_node_ping()->set_version("test");
    return call.done(std::move(outcome));
  }
  ++started;
  const std::string id = call.request_id;
  calls[id] = std::move(call);
}

void FakeActions::Resume(ActionCall call) {
  ++resumed;
  const std::string id = call.request_id;
  calls[id] = std::move(call);
}

void FakeActions::Cancel(const std::string& job_id) { cancelled.push_back(job_id); }

void FakeActions::FinishAll(orch::v1::NodeState state) {
  for (auto& [id, call] : std::exchange(calls, {})) {
    Outcome outcome;
    outcome.set_state(state);
    call.done(std::move(outcome));
  }
}

AgentTest::AgentTest() {
  controller_ = testing::NewCredentials(&ca_, "c1", trust::Role::kController);
  other_controller_ = testing::NewCredentials(&ca_, "c2", trust::Role::kController);
  node_ = testing::NewCredentials(&ca_, "web1", trust::Role::kNode);
  ORCH_CHECK(base::WriteFileAtomically(absl::StrCat(directory_, "/facts.json"),
                                       "{\"role\": \"web\"}", 0644)
                 .ok());
  broker_ = std::make_unique<bus::Broker>(strand_, bus::BrokerConfig(), nullptr);
  bus::Client::Options options;
  options.client_id = "c1";
  controller_client_ =
      std::make_unique<bus::Client>(strand_, options, broker_->MemoryStreams(PeerOf(*controller_)));
  OnStrand([this] {
    controller_client_->Subscribe(bus::Destinations().Reply("main", "c1"),
                                  [this](const bus::Delivery& d) { TakeReply(d); });
    controller_client_->Subscribe(
        bus::Destinations().Presence("main"), [this](const bus::Delivery& delivery) {
          std::string payload;
          trust::Refusal refusal;
          const auto peer = controller_->Open(trust::Domain::kPresence, delivery.body, absl::Now(),
                                              &payload, &refusal);
          ASSERT_TRUE(peer.ok()) << peer.status();
          EXPECT_TRUE(presences_.emplace_back().ParseFromString(payload));
        });
    controller_client_->Start([this](bool connected) { controller_connected_ = connected; });
  });
  EXPECT_TRUE(Until([this] { return controller_connected_; }));
}

AgentTest::~AgentTest() {
  if (agent_ != nullptr) StopNode();
  bool stopped = false;
  OnStrand([&] { controller_client_->Stop([&] { broker_->Stop([&] { stopped = true; }); }); });
  EXPECT_TRUE(Until([&] { return stopped; }));
}

void AgentTest::StartNode() {
  JournalOptions options;
  options.path = absl::StrCat(directory_, "/journal.db");
  options.sequence_path = absl::StrCat(directory_, "/journal.sequence");
  auto journal = Journal::Open(options, clock_.Read());
  ORCH_CHECK(journal.ok());
  journal_ = std::make_unique<JournalStore>(strand_, store_.get(), *std::move(journal), &clock_);
  PuppetConfig puppet;
  puppet.set_program("/bin/false");
  paths_ = std::make_unique<PuppetPathsFinder>(strand_, &clock_, puppet,
                                               absl::StrCat(directory_, "/paths.json"));
  FactsConfig config;
  config.add_sources()->set_file(absl::StrCat(directory_, "/facts.json"));
  facts_ = std::make_unique<Facts>(FactsParts{strand_,
                                              &clock_,
                                              paths_.get(),
                                              config,
                                              absl::StrCat(directory_, "/facts.cache"),
                                              "web1",
                                              {"main"}});
  fake_actions_ = std::make_unique<FakeActions>();
  actions_ = fake_actions_.get();
  bus::Client::Options client;
  client.client_id = "web1";
  node_client_ =
      std::make_unique<bus::Client>(strand_, client, broker_->MemoryStreams(PeerOf(*node_)));
  agent_ = std::make_unique<Agent>(AgentParts{.strand = strand_,
                                              .clock = &clock_,
                                              .self = {"web1", {"main"}, {"c1"}},
                                              .destinations = {},
                                              .client = node_client_.get(),
                                              .credentials = node_,
                                              .actions = actions_,
                                              .journal = journal_.get(),
                                              .facts = facts_.get(),
                                              .policy = own_policy_,
                                              .running_max = running_max_,
                                              .presence_interval = absl::Minutes(5),
                                              .start_time = clock_.Read().wall});
  const size_t before = presences_.size();
  OnStrand([&] {
    facts_->Start([this] { agent_->OnNodeChange(); });
    agent_->Start();
  });
  ASSERT_TRUE(
      Until([&] { return facts_->json() == facts_expected_ && presences_.size() > before; }));
  clock_.Advance(absl::Seconds(1));  // a new journal refuses what was issued before it
}

void AgentTest::StopNode() {
  bool stopped = false;
  OnStrand([&] { node_client_->Stop([&] { stopped = true; }); });
  EXPECT_TRUE(Until([&] { return stopped; }));
  OnStrand([&] {
    journal_.reset();
    agent_.reset();
    node_client_.reset();
    facts_.reset();
    paths_.reset();
    fake_actions_.reset();
    actions_ = nullptr;
  });
}

Request AgentTest::NewRequest() {
  Request request;
  request.set_protocol(1);
  request.set_collective("main");
  request.set_request_id(base::RandomBytes16());
  request.set_job_id(base::NewUlid(clock_.Read().wall));
  *request.mutable_issue_time() = ToTimestamp(clock_.Read().wall);
  *request.mutable_expire_time() = ToTimestamp(clock_.Read().wall + absl::Seconds(60));
  request.set_controller("c1");
  request.set_caller("cert=operator");
  request.set_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  request.set_default_allow(true);
  return request;
}

Request AgentTest::NewPing() {
  Request request = NewRequest();
  request.mutable_action()->mutable_action()->mutable_node_ping();
  return request;
}

Request AgentTest::NewRun() {
  Request request = NewRequest();
  request.add_nodes("web1");
  request.mutable_action()->mutable_action()->mutable_puppet_run()->set_noop(true);
  return request;
}

std::string AgentTest::SignAs(const trust::Credentials& signer, trust::Domain domain,
                              std::string payload) {
  const auto envelope = signer.Sign(domain, std::move(payload), /*with_chain=*/true);
  ORCH_CHECK(envelope.ok());
  return envelope->SerializeAsString();
}

std::string AgentTest::Sign(const Request& request) {
  return SignAs(*controller_, trust::Domain::kRequest, request.SerializeAsString());
}

void AgentTest::Send(const Request& request) {
  Publish(request.nodes().empty() ? bus::Destinations().Request("main") : NodeDestination(),
          Sign(request));
}

void AgentTest::Publish(const std::string& destination, std::string body) {
  OnStrand([&] {
    controller_client_->Send(destination, std::move(body), absl::Now() + absl::Minutes(1));
  });
}

bool AgentTest::Until(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    context_.restart();
    context_.run_one_for(std::chrono::milliseconds(50));
  }
  return true;
}

void AgentTest::OnStrand(const std::function<void()>& work) {
  bool done = false;
  base::asio::post(strand_, [&] {
    work();
    done = true;
  });
  ORCH_CHECK(Until([&] { return done; }));
}

void AgentTest::Settle() {
  // Whatever waits for the journal looks something up, then writes, then writes again; then its
  // reply is on the bus.
  for (int way = 0; way < 4; ++way) {
    const Request ping = NewPing();
    Send(ping);
    ASSERT_TRUE(Until([&] { return !RepliesTo(ping.request_id()).empty(); }));
    std::erase_if(replies_, [&](const auto& r) { return r.request_id() == ping.request_id(); });
    bool found = false;
    OnStrand([&] { journal_->PostFind(ping.request_id(), [&](const auto&) { found = true; }); });
    ASSERT_TRUE(Until([&] { return found; }));
  }
}

void AgentTest::TakeReply(const bus::Delivery& delivery) {
  std::string payload;
  trust::Refusal refusal;
  const auto peer =
      controller_->Open(trust::Domain::kReply, delivery.body, absl::Now(), &payload, &refusal);
  ASSERT_TRUE(peer.ok()) << peer.status();
  EXPECT_EQ(peer->common_name, "web1");
  EXPECT_TRUE(replies_.emplace_back().ParseFromString(payload));
}

std::vector<orch::bus::v1::Reply> AgentTest::RepliesTo(const std::string& request_id) const {
  std::vector<orch::bus::v1::Reply> out;
  for (const auto& reply : replies_) {
    if (reply.request_id() == request_id) out.push_back(reply);
  }
  return out;
}

std::string AgentTest::OutcomeOf(const std::string& request_id) const {
  for (const auto& reply : RepliesTo(request_id)) {
    if (!reply.has_outcome()) continue;
    const std::string state = orch::v1::NodeState_Name(reply.outcome().state());
    return absl::StrCat(state.substr(std::string("NODE_STATE_").size()),
                        reply.outcome().reason().empty() ? "" : " ", reply.outcome().reason());
  }
  return "";
}

}  // namespace orch::nodeagent
