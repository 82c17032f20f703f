// SPDX-License-Identifier: Apache-2.0
// What a broken or hostile node, or broker, sends: counted, and nothing changes.
#include <gtest/gtest.h>

#include "api/catalog.h"
#include "api/errors.h"
#include "base/version.h"
#include "controller/dispatcher/dispatcher_fixture.h"

namespace orch::controller {
namespace {

using orch::bus::v1::Reply;
using orch::testing::SimNodeOptions;

class HostileTest : public DispatcherTest {
 protected:
  // A puppet.run on a alone is under way; b knows all about it.
  std::string Begin() {
    AddNode("a", SimNodeOptions{.identity = {}, .hold = true});
    AddNode("b");
    AdmittedJob run = PuppetRun();
    run.spec.add_nodes("a");
    const std::string id = Run(run);
    Until([&] { return Nodes(id).at("a").state() == orch::v1::NODE_STATE_ACCEPTED; });
    return id;
  }
  Reply Outcome(const std::string& as) {
    Reply reply;
    reply.set_protocol(base::kProtocol);
    reply.set_request_id(node("a")->last_action().request_id());
    reply.set_request_digest(node("a")->last_digest());
    reply.set_job_id(node("a")->last_action().job_id());
    reply.set_node(as);
    reply.set_sequence(7);
    reply.mutable_outcome()->set_state(orch::v1::NODE_STATE_FAILED);
    return reply;
  }
  void SendAs(const std::string& sender, Reply reply) {
    boost::asio::post(node_strand_, [this, sender, reply] {
      node(sender)->SendReply(node("a")->last_action(), reply);
    });
  }
  void SendRaw(const std::string& destination, const std::string& body) {
    boost::asio::post(node_strand_, [this, destination, body] {
      nodes_.at("b").client->Send(destination, body, absl::InfiniteFuture());
    });
  }
  void ExpectUntouched(const std::string& id) {
    EXPECT_EQ(Nodes(id).at("a").state(), orch::v1::NODE_STATE_ACCEPTED);
    EXPECT_EQ(Get(id).targets(), 1u);
    boost::asio::post(node_strand_, [this] { node("a")->Release(); });
    EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_SUCCEEDED);
  }
};

TEST_F(HostileTest, OneNodeCantAnswerForAnother) {
  const std::string id = Begin();
  SendAs("b", Outcome("a"));
  Until([this] { return Metrics().replies_wrong_node == 1; });
  ExpectUntouched(id);
}

TEST_F(HostileTest, OneNodeCantAnswerAnothersRequest) {
  const std::string id = Begin();
  SendAs("b", Outcome("b"));
  Until([this] { return Metrics().replies_wrong_node == 1; });
  ExpectUntouched(id);
}

TEST_F(HostileTest, TheDigestMustBeThatOfWhatWasSent) {
  const std::string id = Begin();
  Reply reply = Outcome("a");
  reply.set_request_digest(std::string(32, 'x'));
  SendAs("a", reply);
  Until([this] { return Metrics().replies_wrong_digest == 1; });
  reply.set_request_id("another request ");
  SendAs("a", reply);
  Until([this] { return Metrics().replies_unknown == 1; });
  ExpectUntouched(id);
}

TEST_F(HostileTest, NonsenseIsCounted) {
  const std::string id = Begin();
  Reply reply = Outcome("a");
  reply.mutable_outcome()->set_state(orch::v1::NODE_STATE_PENDING);
  SendAs("a", reply);
  Until([this] { return Metrics().replies_malformed == 1; });
  reply = Outcome("a");
  reply.set_protocol(99);
  SendAs("a", reply);
  Until([this] { return Metrics().replies_malformed == 2; });
  reply = Outcome("a");
  reply.GetReflection()->MutableUnknownFields(&reply)->AddVarint(999, 1);
  SendAs("a", reply);
  Until([this] { return Metrics().replies_malformed == 3; });
  reply = Outcome("a");
  reply.clear_outcome();
  SendAs("a", reply);
  Until([this] { return Metrics().replies_malformed == 4; });
  reply = Outcome("a");
  reply.mutable_outcome()->mutable_result()->mutable_node_ping()->mutable_time()->set_seconds(
      int64_t{1} << 62);
  SendAs("a", reply);
  Until([this] { return Metrics().replies_malformed == 5; });
  ExpectUntouched(id);
}

TEST_F(HostileTest, NoTextMakesAnAnswerUnreadable) {
  AddNode("c", SimNodeOptions{.identity = {}, .refusal = "am \xe9nd" + std::string(5000, 'a')});
  AddNode("a", SimNodeOptions{.identity = {}, .hold = true});
  AddNode("b");
  AdmittedJob run = PuppetRun();
  run.spec.add_nodes("a");
  run.spec.add_nodes("c");
  const std::string id = Run(run);
  Until([&] { return Nodes(id).at("a").state() == orch::v1::NODE_STATE_ACCEPTED; });
  Reply reply = Outcome("a");
  reply.mutable_outcome()->set_reason(std::string(127, 'a') + "é");
  reply.mutable_outcome()->set_message(std::string(4095, 'a') + "é");
  reply.mutable_outcome()->mutable_result()->mutable_puppet_run()->add_errors()->set_message(
      "\xe3\x81");
  SendAs("a", reply);
  EXPECT_EQ(End(id).state(), orch::v1::JOB_STATE_FAILED);
  const auto nodes = Nodes(id);
  EXPECT_EQ(nodes.at("a").state(), orch::v1::NODE_STATE_FAILED);
  EXPECT_EQ(nodes.at("a").reason(), std::string(127, 'a'));
  EXPECT_EQ(nodes.at("a").message(), std::string(4095, 'a'));
  EXPECT_EQ(nodes.at("a").result().puppet_run().errors(0).message(), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(nodes.at("c").state(), orch::v1::NODE_STATE_REFUSED);
  EXPECT_EQ(nodes.at("c").message().substr(0, 9), "am \xef\xbf\xbdnda");
  EXPECT_TRUE(Follow(id).back()->has_finished());
}

TEST_F(HostileTest, OneCallerCantTakeEveryPlace) {
  KillController();
  options_.jobs_running_max = 20;
  StartController();
  const auto ask = [this](const std::string& caller, AdmittedJob job) {
    job.caller = caller;
    if (!api::Mutates(job.spec.action())) {
      job.spec.add_nodes("ghost");
      job.spec.mutable_timeout()->set_seconds(3600);
    }
    const absl::Status status = Create(job).status();
    return status.ok() ? std::string("ok") : api::ReasonOf(status);
  };
  for (int i = 0; i < 8; ++i) EXPECT_EQ(ask("cert=greedy", Ping()), "ok");
  EXPECT_EQ(ask("cert=greedy", Ping()), "TOO_MANY_JOBS");
  for (int i = 0; i < 8; ++i) EXPECT_EQ(ask("cert=other", Ping()), "ok");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(ask("cert=third", Ping()), "ok");
  EXPECT_EQ(ask("cert=third", Ping()), "TOO_MANY_JOBS");
  AdmittedJob run = PuppetRun();
  run.spec.add_nodes("a");
  EXPECT_EQ(ask("cert=third", run), "ok");
}

TEST_F(HostileTest, BytesThatAreNoEnvelope) {
  const std::string id = Begin();
  const auto refused = [this] {
    uint64_t sum = 0;
    for (uint64_t count : Metrics().refused) sum += count;
    return sum;
  };
  SendRaw("/queue/orch.main.reply.c1", "no envelope");
  SendRaw("/topic/orch.main.presence", std::string(100, '\xff'));
  SendRaw("/topic/orch.main.presence", "");
  SendRaw("/queue/orch.main.reply.c1", std::string(300 << 10, 'x'));
  Until([&] { return refused() == 4; });
  ExpectUntouched(id);
}

TEST_F(HostileTest, APresenceIsNoReplyAndTheOtherWayRound) {
  const std::string id = Begin();
  auto credentials = orch::testing::NewCredentials(&ca_, "a", trust::Role::kNode);
  const auto presence =
      credentials->Sign(trust::Domain::kPresence, Outcome("a").SerializeAsString(), true);
  SendRaw("/queue/orch.main.reply.c1", presence->SerializeAsString());
  Until([this] { return Metrics().refused[static_cast<int>(trust::Refusal::kSignature)] == 1; });
  ExpectUntouched(id);
}

TEST_F(HostileTest, AStrangersCaIsNobody) {
  const std::string id = Begin();
  orch::testing::TestCa other("Another CA");
  auto stranger = orch::testing::NewCredentials(&other, "a", trust::Role::kNode);
  const auto reply = stranger->Sign(trust::Domain::kReply, Outcome("a").SerializeAsString(), true);
  SendRaw("/queue/orch.main.reply.c1", reply->SerializeAsString());
  Until([this] { return Metrics().refused[static_cast<int>(trust::Refusal::kChain)] == 1; });
  ExpectUntouched(id);
}

TEST_F(HostileTest, AnUnknownKeyIsAskedForItsCertificate) {
  auto* added = AddQuietNode("q", SimNodeOptions{.identity = {}, .without_chain = true});
  boost::asio::post(node_strand_, [added] { added->SendPresence(true, false); });
  Until([this] { return GetNode("q").ok(); });
  EXPECT_GE(added->heard(orch::bus::v1::Request::kPresenceQuery), 1);
  // And for its facts as soon as it is known, not when the first question is asked again.
  Until([this] {
    const auto node = GetNode("q");
    return node.ok() && node->has_facts_time();
  });
}

TEST_F(HostileTest, JobsOfOthersAreNotSeen) {
  AddNode("a");
  const std::string id = Run(Ping());
  End(id);
  const JobVisibility other{.caller = "cert=other", .everybody = false};
  auto job = Await<absl::StatusOr<orch::v1::Job>>(
      [&](auto done) { Post([=](Dispatcher& there) { there.GetJob(id, other, done); }); });
  EXPECT_EQ(api::ReasonOf(job.status()), "JOB_NOT_FOUND");
  auto nodes = Await<absl::StatusOr<JobNodePage>>([&](auto done) {
    Post([=](Dispatcher& there) {
      there.ListJobNodes({.job_id = id, .page_size = 10}, other, done);
    });
  });
  EXPECT_EQ(nodes.status().code(), absl::StatusCode::kNotFound);
  auto log = Await<absl::StatusOr<JobLogPart>>([&](auto done) {
    Post([=](Dispatcher& there) { there.ReadLog(1, id, other, 0, 100, done); });
  });
  EXPECT_EQ(log.status().code(), absl::StatusCode::kNotFound);
  auto list = Await<absl::StatusOr<JobPage>>([&](auto done) {
    Post([=](Dispatcher& there) { there.ListJobs({.page_size = 10}, other, done); });
  });
  EXPECT_TRUE(list->jobs.empty());
}

TEST_F(HostileTest, ReadingBeyondTheLogIsOutOfRange) {
  const std::string id = Begin();
  const JobVisibility me{.caller = "cert=operator", .everybody = false};
  const auto read = [&](const std::string& job, uint64_t after) {
    return Await<absl::StatusOr<JobLogPart>>([&](auto done) {
      Post([=](Dispatcher& there) { there.ReadLog(1, job, me, after, 100, done); });
    });
  };
  EXPECT_EQ(read(id, 999).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(read("01ARZ3NDEKTSV4RRFFQ69G5FAV", 0).status().code(), absl::StatusCode::kNotFound);
  ExpectUntouched(id);
  Until([&] { return Metrics().jobs_running == 0; });
  EXPECT_EQ(read(id, 999).status().code(), absl::StatusCode::kOutOfRange);
  const uint64_t last = Get(id).last_sequence();
  auto part = read(id, last);
  ASSERT_TRUE(part.ok());
  EXPECT_TRUE(part->ended && part->events.empty());
}

TEST_F(HostileTest, AReaderThatGoesAwayIsForgotten) {
  const std::string id = Begin();
  const uint64_t last = Get(id).last_sequence();
  bool called = false;
  Post([&](Dispatcher& there) {
    there.ReadLog(5, id, {.caller = "cert=operator", .everybody = false}, last, 100,
                  [&called](absl::StatusOr<JobLogPart>) { called = true; });
  });
  Post([&](Dispatcher& there) { there.ForgetRead(5); });
  ExpectUntouched(id);
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace orch::controller
