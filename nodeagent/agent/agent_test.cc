// SPDX-License-Identifier: Apache-2.0
// Each rung of the ladder with its counter, over a real broker.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/proto_time.h"
#include "nodeagent/agent/agent_fixture.h"

namespace orch::nodeagent {
namespace {

using orch::bus::v1::Request;

class LadderTest : public AgentTest {
 protected:
  void SetUp() override { StartNode(); }

  // What was published left no trace but one count.
  void ExpectSilence(Rung rung) {
    const size_t before = replies_.size();
    Settle();
    EXPECT_EQ(replies_.size(), before);
    EXPECT_EQ(Stopped(rung), 1u) << RungName(rung);
    EXPECT_EQ(actions_->started, 0);
  }
  void ExpectOutcome(const Request& request, Rung rung, const std::string& outcome) {
    ASSERT_TRUE(Until([&] { return !OutcomeOf(request.request_id()).empty(); }));
    EXPECT_EQ(OutcomeOf(request.request_id()), outcome);
    EXPECT_EQ(Stopped(rung), 1u) << RungName(rung);
    EXPECT_EQ(actions_->started, 0);
  }
};

TEST_F(LadderTest, APingIsAnsweredWithAllThatTiesItToItsRequest) {
  const Request ping = NewPing();
  Send(ping);
  ASSERT_TRUE(Until([&] { return !OutcomeOf(ping.request_id()).empty(); }));
  const auto reply = RepliesTo(ping.request_id()).front();
  EXPECT_EQ(reply.outcome().state(), orch::v1::NODE_STATE_SUCCEEDED);
  EXPECT_EQ(reply.request_digest(), trust::Sha256(ping.SerializeAsString()));
  EXPECT_EQ(reply.traceparent(), ping.traceparent());
  EXPECT_EQ(reply.job_id(), ping.job_id());
  EXPECT_EQ(reply.collective(), "main");
  EXPECT_EQ(reply.node(), "web1");
  EXPECT_EQ(reply.sequence(), 1u);
  EXPECT_EQ(counters().passed, 1u);
}

TEST_F(LadderTest, ARefusalIsLoggedWithTheIdsOfItsRequest) {
  Request run = NewRun();
  run.add_conditions()->set_where("role=web");
  base::SetUpLog("test", base::LogLevel::kInfo, base::LogFormat::kJson);
  ::testing::internal::CaptureStderr();
  Send(run);
  EXPECT_TRUE(Until([&] { return !OutcomeOf(run.request_id()).empty(); }));
  const std::string log = ::testing::internal::GetCapturedStderr();
  base::SetUpLog("test", base::LogLevel::kInfo, base::LogFormat::kText);
  for (const std::string& part :
       {absl::StrCat("\"job_id\":\"", run.job_id(), "\""),
        absl::StrCat("\"request_id\":\"", base::Hex(run.request_id()), "\""),
        std::string("\"reason\":\"denied\""),
        std::string("\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\""),
        std::string("\"not_logged\":0")}) {
    EXPECT_NE(log.find(part), std::string::npos) << part << "\n" << log;
  }
}

TEST_F(LadderTest, TooLarge) {
  Publish(NodeDestination(), std::string(trust::kEnvelopeMax + 1, 'x'));
  ExpectSilence(Rung::kSize);
}

TEST_F(LadderTest, NoEnvelope) {
  Publish(NodeDestination(), "not an envelope");
  ExpectSilence(Rung::kEnvelope);
}

TEST_F(LadderTest, ChainOfAnotherCa) {
  testing::TestCa other("Other CA");
  const auto stranger = testing::NewCredentials(&other, "c1", trust::Role::kController);
  Publish(NodeDestination(),
          SignAs(*stranger, trust::Domain::kRequest, NewRun().SerializeAsString()));
  ExpectSilence(Rung::kChain);
}

TEST_F(LadderTest, SignedByANode) {
  const auto other = testing::NewCredentials(&ca_, "web2", trust::Role::kNode);
  Publish(NodeDestination(), SignAs(*other, trust::Domain::kRequest, NewRun().SerializeAsString()));
  ExpectSilence(Rung::kRole);
}

TEST_F(LadderTest, SignedByAUser) {
  const auto user = testing::NewCredentials(&ca_, "operator", trust::Role::kUser);
  Publish(NodeDestination(), SignAs(*user, trust::Domain::kRequest, NewRun().SerializeAsString()));
  ExpectSilence(Rung::kRole);
}

TEST_F(LadderTest, SignedByAControllerThatIsNotListed) {
  Request run = NewRun();
  run.set_controller("c2");
  Publish(NodeDestination(),
          SignAs(*other_controller_, trust::Domain::kRequest, run.SerializeAsString()));
  ExpectSilence(Rung::kController);
}

TEST_F(LadderTest, Tampered) {
  orch::bus::v1::Envelope envelope;
  ASSERT_TRUE(envelope.ParseFromString(Sign(NewRun())));
  envelope.mutable_payload()->back() ^= 1;
  Publish(NodeDestination(), envelope.SerializeAsString());
  ExpectSilence(Rung::kSignature);
}

TEST_F(LadderTest, SignedAsSomethingElse) {
  Publish(NodeDestination(),
          SignAs(*controller_, trust::Domain::kReply, NewRun().SerializeAsString()));
  ExpectSilence(Rung::kSignature);
}

TEST_F(LadderTest, AnotherCollective) {
  Request run = NewRun();
  run.set_collective("dmz");
  Publish(NodeDestination(), Sign(run));
  ExpectSilence(Rung::kCollective);
}

TEST_F(LadderTest, OtherNodes) {
  Request run = NewRun();
  run.clear_nodes();
  run.add_nodes("web2");
  Publish(NodeDestination(), Sign(run));
  ExpectSilence(Rung::kNotNamed);
}

TEST_F(LadderTest, UnknownField) {
  Request run = NewRun();
  run.GetReflection()->MutableUnknownFields(&run)->AddVarint(999, 1);
  Send(run);
  ExpectOutcome(run, Rung::kInvalid, "REFUSED invalid");
}

TEST_F(LadderTest, TrailingBytes) {
  const Request run = NewRun();
  Publish(NodeDestination(), SignAs(*controller_, trust::Domain::kRequest,
                                    run.SerializeAsString() + std::string("\x08\x01")));
  ExpectOutcome(run, Rung::kInvalid, "REFUSED invalid");
}

TEST_F(LadderTest, NewerProtocol) {
  Request run = NewRun();
  run.set_protocol(2);
  Send(run);
  ExpectOutcome(run, Rung::kUnsupported, "REFUSED unsupported");
}

TEST_F(LadderTest, Expired) {
  const Request run = NewRun();
  clock_.Advance(absl::Seconds(61));
  Send(run);
  ExpectOutcome(run, Rung::kExpired, "REFUSED expired");
}

TEST_F(LadderTest, FromTheFutureAndNeverLater) {
  Request run = NewRun();
  *run.mutable_issue_time() = ToTimestamp(clock_.Read().wall + absl::Seconds(40));
  *run.mutable_expire_time() = ToTimestamp(clock_.Read().wall + absl::Seconds(100));
  Send(run);
  ExpectOutcome(run, Rung::kFuture, "REFUSED not_yet_valid");
  clock_.Advance(absl::Seconds(50));
  Send(run);
  Settle();
  EXPECT_EQ(actions_->started, 0);
  EXPECT_EQ(Stopped(Rung::kKnown), 1u) << "the journal remembers that it was refused";
}

TEST_F(LadderTest, ValidForTooLong) {
  Request run = NewRun();
  *run.mutable_expire_time() = ToTimestamp(clock_.Read().wall + absl::Seconds(901));
  Send(run);
  ExpectOutcome(run, Rung::kLifetime, "REFUSED invalid");
}

TEST_F(LadderTest, ReplayedReadOnly) {
  const Request ping = NewPing();
  Send(ping);
  Send(ping);
  Settle();
  EXPECT_EQ(RepliesTo(ping.request_id()).size(), 1u);
  EXPECT_EQ(Stopped(Rung::kReplayed), 1u);
}

TEST_F(LadderTest, TargetDoesNotMatch) {
  Request ping = NewPing();
  ping.mutable_target()->add_facts("role=db");
  Send(ping);
  ExpectSilence(Rung::kNotMatched);
  Request run = NewRun();
  run.add_nodes("web2");
  run.mutable_target()->add_facts("role=db");
  Send(run);
  Settle();
  EXPECT_TRUE(RepliesTo(run.request_id()).empty());
}

TEST_F(LadderTest, NamedAloneItSaysThatItDoesNotMatch) {
  Request run = NewRun();
  run.mutable_target()->add_facts("role=db");
  Send(run);
  ExpectOutcome(run, Rung::kNotMatched, "REFUSED not_matched");
}

TEST_F(LadderTest, LiveFactsDecide) {
  Request run = NewRun();
  run.mutable_target()->add_facts("role=web");
  Send(run);
  ASSERT_TRUE(Until([&] { return actions_->started == 1; }));
}

TEST_F(LadderTest, ConditionsDeny) {
  Request run = NewRun();
  auto* condition = run.add_conditions();
  condition->set_where("role=web");
  condition->set_rule("policy.yaml:3");
  Send(run);
  ExpectOutcome(run, Rung::kDenied, "DENIED denied");
  EXPECT_NE(RepliesTo(run.request_id())[0].outcome().message().find("policy.yaml:3"),
            std::string::npos);
}

TEST_F(LadderTest, ClockThatBeaconsShowToBeOff) {
  Request beacon = NewRequest();
  beacon.mutable_beacon()->set_sequence(1);
  *beacon.mutable_issue_time() = ToTimestamp(clock_.Read().wall - absl::Seconds(31));
  Send(beacon);
  ASSERT_TRUE(Until([&] { return agent_->beacons().seen().contains("c1"); }));
  const Request run = NewRun();
  Send(run);
  ExpectOutcome(run, Rung::kClock, "REFUSED clock");
  Settle();  // what only reads is still done
}

TEST_F(LadderTest, RefusalsAreRemembered) {
  Publish(NodeDestination(), "x");
  Settle();
  ASSERT_EQ(agent_->recent_stops().size(), 1u);
  EXPECT_EQ(agent_->recent_stops()[0].stop.rung, Rung::kEnvelope);
}

TEST_F(LadderTest, RefusalsAreNotAnAmplifier) {
  Request run = NewRun();
  clock_.Advance(absl::Seconds(61));
  const std::string signed_run = Sign(run);
  for (int i = 0; i < 2 * kRepeatsPerSecondMax; ++i) Publish(NodeDestination(), signed_run);
  Settle();
  EXPECT_EQ(Stopped(Rung::kExpired), 2u * kRepeatsPerSecondMax);
  EXPECT_LE(RepliesTo(run.request_id()).size(), size_t{kRepeatsPerSecondMax});
}

}  // namespace
}  // namespace orch::nodeagent
