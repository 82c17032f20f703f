// SPDX-License-Identifier: Apache-2.0
// What a mutating request lives through: once, whatever is duplicated, restarted, cancelled or
// asked again.
#include <gtest/gtest.h>

#include <vector>

#include "base/config.h"
#include "base/gzip.h"
#include "base/proto_time.h"
#include "nodeagent/agent/agent_fixture.h"

namespace orch::nodeagent {
namespace {

using orch::bus::v1::Request;

class RunTest : public AgentTest {
 protected:
  void SetUp() override { StartNode(); }

  void SendAndStart(const Request& run) {
    const int before = actions_->started;
    Send(run);
    ASSERT_TRUE(Until([&] { return actions_->started == before + 1; }));
  }
  void FinishAll(orch::v1::NodeState state) {
    OnStrand([&] { actions_->FinishAll(state); });
  }
  Request NewCancel(const std::string& job_id) {
    Request request = NewRequest();
    request.mutable_cancel()->set_job_id(job_id);
    return request;
  }
  Request NewQuery(const Request& about) {
    Request request = NewRequest();
    request.set_job_id(about.job_id());
    request.mutable_result_query()->add_request_ids(about.request_id());
    return request;
  }
};

TEST_F(RunTest, AcceptedThenProgressThenOutcome) {
  const Request run = NewRun();
  SendAndStart(run);
  OnStrand([&] {
    orch::v1::ActionProgress progress;
    progress.mutable_puppet_run()->set_message("changed");
    actions_->calls.at(run.request_id()).progress(progress);
  });
  FinishAll(orch::v1::NODE_STATE_SUCCEEDED);
  ASSERT_TRUE(Until([&] { return !OutcomeOf(run.request_id()).empty(); }));
  const auto replies = RepliesTo(run.request_id());
  ASSERT_EQ(replies.size(), 3u);
  EXPECT_TRUE(replies[0].has_accepted());
  EXPECT_EQ(replies[1].progress().puppet_run().message(), "changed");
  EXPECT_EQ(replies[2].outcome().state(), orch::v1::NODE_STATE_SUCCEEDED);
  for (size_t i = 0; i < replies.size(); ++i) EXPECT_EQ(replies[i].sequence(), i + 1);
}

TEST_F(RunTest, ProgressIsBounded) {
  const Request run = NewRun();
  SendAndStart(run);
  OnStrand([&] {
    for (int i = 0; i < 10 * kProgressPerSecondMax; ++i) {
      actions_->calls.at(run.request_id()).progress(orch::v1::ActionProgress());
    }
  });
  Settle();
  ASSERT_EQ(RepliesTo(run.request_id()).size(), 1u + kProgressPerSecondMax);
  // What was left out is counted: with the next that is sent, and at the end.
  clock_.Advance(absl::Seconds(1));
  OnStrand([&] { actions_->calls.at(run.request_id()).progress(orch::v1::ActionProgress()); });
  ASSERT_TRUE(
      Until([&] { return RepliesTo(run.request_id()).size() == 2u + kProgressPerSecondMax; }));
  EXPECT_EQ(RepliesTo(run.request_id()).back().progress().omitted(), 9u * kProgressPerSecondMax);
  OnStrand([&] {
    orch::bus::v1::Outcome outcome;
    outcome.set_state(orch::v1::NODE_STATE_SUCCEEDED);
    outcome.mutable_result()->mutable_puppet_run()->set_progress_omitted(1);
    const auto done = actions_->calls.at(run.request_id()).done;
    actions_->calls.clear();
    done(outcome);
  });
  ASSERT_TRUE(Until([&] { return !OutcomeOf(run.request_id()).empty(); }));
  EXPECT_EQ(RepliesTo(run.request_id()).back().outcome().result().puppet_run().progress_omitted(),
            1u + 9u * kProgressPerSecondMax);
}

TEST_F(RunTest, DuplicatesStartOnce) {
  const Request run = NewRun();
  const std::string body = Sign(run);
  for (int i = 0; i < 5; ++i) Publish(NodeDestination(), body);
  Settle();
  EXPECT_EQ(actions_->started, 1);
  EXPECT_EQ(Stopped(Rung::kKnown) + Stopped(Rung::kReplayed), 4u);
}

TEST_F(RunTest, ADuplicateIsAnsweredWithWhatIsKnown) {
  const Request run = NewRun();
  SendAndStart(run);
  Send(run);
  ASSERT_TRUE(Until([&] { return RepliesTo(run.request_id()).size() == 2; }));
  EXPECT_TRUE(RepliesTo(run.request_id())[1].has_accepted());
  FinishAll(orch::v1::NODE_STATE_FAILED);
  ASSERT_TRUE(Until([&] { return RepliesTo(run.request_id()).size() == 3; }));
  Send(run);
  ASSERT_TRUE(Until([&] { return RepliesTo(run.request_id()).size() == 4; }));
  EXPECT_EQ(RepliesTo(run.request_id())[3].outcome().state(), orch::v1::NODE_STATE_FAILED);
  EXPECT_EQ(actions_->started, 1);
}

TEST_F(RunTest, ACopyOfWhatIsAboutToStartIsNotRefused) {
  // All at once, so that the copy finds the first on its way through the journal. The broker kept
  // the beacon back, which makes the clock seem off.
  Request beacon = NewRequest();
  beacon.mutable_beacon()->set_sequence(1);
  *beacon.mutable_issue_time() = ToTimestamp(clock_.Read().wall - absl::Seconds(31));
  const Request run = NewRun();
  const std::string body = Sign(run);
  const std::string late = Sign(beacon);
  Publish(NodeDestination(), body);
  Publish(bus::Destinations().Request("main"), late);
  Publish(NodeDestination(), body);
  ASSERT_TRUE(Until([&] { return actions_->started == 1; }));
  Settle();
  EXPECT_EQ(Stopped(Rung::kClock), 1u);
  EXPECT_EQ(OutcomeOf(run.request_id()), "");
  FinishAll(orch::v1::NODE_STATE_SUCCEEDED);
  ASSERT_TRUE(Until([&] { return !OutcomeOf(run.request_id()).empty(); }));
  EXPECT_EQ(OutcomeOf(run.request_id()), "SUCCEEDED");
}

TEST_F(RunTest, AnExpiredDuplicateDoesNotLookLikeARefusal) {
  const Request run = NewRun();
  SendAndStart(run);
  clock_.Advance(absl::Minutes(2));
  Send(run);
  Settle();
  FinishAll(orch::v1::NODE_STATE_SUCCEEDED);
  ASSERT_TRUE(Until([&] { return !OutcomeOf(run.request_id()).empty(); }));
  Send(run);
  Settle();
  EXPECT_EQ(Stopped(Rung::kExpired), 2u);
  EXPECT_EQ(OutcomeOf(run.request_id()), "SUCCEEDED");
  EXPECT_EQ(RepliesTo(run.request_id()).size(), 2u);
}

TEST_F(RunTest, ItsIdCannotBeUsedForSomethingElse) {
  const Request run = NewRun();
  SendAndStart(run);
  Request other = NewRun();
  other.set_request_id(run.request_id());
  other.mutable_action()->mutable_action()->mutable_puppet_run()->set_noop(false);
  Send(other);
  Settle();
  EXPECT_EQ(actions_->started, 1);
  EXPECT_EQ(Stopped(Rung::kInvalid), 1u);
}

TEST_F(RunTest, ARestartTakesItUpAndStartsNothing) {
  const Request run = NewRun();
  SendAndStart(run);
  StopNode();
  StartNode();
  ASSERT_TRUE(Until([&] { return actions_->resumed == 1; }));
  Send(run);
  Settle();
  EXPECT_EQ(actions_->started, 0);
  FinishAll(orch::v1::NODE_STATE_SUCCEEDED);
  ASSERT_TRUE(Until([&] { return !OutcomeOf(run.request_id()).empty(); }));
  const auto replies = RepliesTo(run.request_id());
  EXPECT_EQ(replies.back().request_digest(), trust::Sha256(run.SerializeAsString()));
  EXPECT_GT(replies.back().sequence(), replies.front().sequence());
}

TEST_F(RunTest, ARefusalHoldsAfterARestart) {
  running_max_ = 1;
  StopNode();
  StartNode();
  SendAndStart(NewRun());
  const Request second = NewRun();
  Send(second);
  ASSERT_TRUE(Until([&] { return !OutcomeOf(second.request_id()).empty(); }));
  EXPECT_EQ(OutcomeOf(second.request_id()), "REFUSED busy");
  EXPECT_EQ(Stopped(Rung::kCapacity), 1u);
  running_max_ = 16;
  StopNode();
  StartNode();
  Send(second);
  Settle();
  EXPECT_EQ(actions_->started, 0);
}

TEST_F(RunTest, WhatWasRefusedNeverStartsLaterWhoeverIsKilled) {
  // Not yet valid: 15 s later, after a kill, the very same bytes would be.
  Request early = NewRun();
  *early.mutable_issue_time() = ToTimestamp(clock_.Read().wall + absl::Seconds(40));
  *early.mutable_expire_time() = ToTimestamp(clock_.Read().wall + absl::Seconds(100));
  Send(early);
  ASSERT_TRUE(Until([&] { return !OutcomeOf(early.request_id()).empty(); }));
  EXPECT_EQ(OutcomeOf(early.request_id()), "REFUSED not_yet_valid");
  // Expired, by a clock that is set right later.
  Request late = NewRun();
  *late.mutable_issue_time() = ToTimestamp(clock_.Read().wall - absl::Milliseconds(500));
  *late.mutable_expire_time() = ToTimestamp(clock_.Read().wall - absl::Milliseconds(1));
  Send(late);
  ASSERT_TRUE(Until([&] { return !OutcomeOf(late.request_id()).empty(); }));
  // The clock was off.
  Request beacon = NewRequest();
  beacon.mutable_beacon()->set_sequence(1);
  *beacon.mutable_issue_time() = ToTimestamp(clock_.Read().wall - absl::Seconds(31));
  Send(beacon);
  const Request clock = NewRun();
  Send(clock);
  ASSERT_TRUE(Until([&] { return !OutcomeOf(clock.request_id()).empty(); }));
  EXPECT_EQ(OutcomeOf(clock.request_id()), "REFUSED clock");
  StopNode();
  StartNode();
  clock_.Advance(absl::Seconds(15));
  Send(early);
  Send(clock);
  ASSERT_TRUE(Until([&] { return RepliesTo(early.request_id()).size() == 2; }));
  ASSERT_TRUE(Until([&] { return RepliesTo(clock.request_id()).size() == 2; }));
  EXPECT_EQ(RepliesTo(early.request_id())[1].outcome().reason(), "not_yet_valid");
  EXPECT_EQ(RepliesTo(clock.request_id())[1].outcome().reason(), "clock");
  clock_.StepWall(-absl::Seconds(17));
  Send(late);
  Settle();
  EXPECT_EQ(actions_->started + actions_->resumed, 0);
}

TEST_F(RunTest, ACancelHoldsAfterARestart) {
  const Request withheld = NewRun();
  Send(NewCancel(withheld.job_id()));
  ASSERT_TRUE(Until([&] { return actions_->cancelled.size() == 1; }));
  Settle();
  StopNode();
  StartNode();
  Send(withheld);
  ASSERT_TRUE(Until([&] { return !OutcomeOf(withheld.request_id()).empty(); }));
  EXPECT_EQ(OutcomeOf(withheld.request_id()), "CANCELLED cancelled");
  EXPECT_EQ(actions_->started + actions_->resumed, 0);
}

TEST_F(RunTest, ManyAtOnceAreBoundedAndThoseThatWaitTakeNoRoom) {
  running_max_ = 2;
  StopNode();
  StartNode();
  std::vector<Request> runs;
  for (int i = 0; i < 6; ++i) runs.push_back(NewRun());
  for (const Request& run : runs) Send(run);  // none has reached the journal when the last comes
  ASSERT_TRUE(Until([&] { return actions_->started == 2 && Stopped(Rung::kCapacity) == 4; }));
  // Neither a question nor another run is kept out by what only waits.
  OnStrand([&] {
    for (auto& [id, call] : actions_->calls) call.waits(true);
  });
  const Request third = NewRun();
  SendAndStart(third);
  const Request fourth = NewRun();
  SendAndStart(fourth);
  const Request fifth = NewRun();
  Send(fifth);
  ASSERT_TRUE(Until([&] { return !OutcomeOf(fifth.request_id()).empty(); }));
  EXPECT_EQ(OutcomeOf(fifth.request_id()), "REFUSED busy");
  const Request ping = NewPing();
  Send(ping);
  ASSERT_TRUE(Until([&] { return !OutcomeOf(ping.request_id()).empty(); }));
  EXPECT_EQ(OutcomeOf(ping.request_id()), "SUCCEEDED");
}

TEST_F(RunTest, WithoutItsJournalItRefusesWhatWasIssuedBefore) {
  const Request run = NewRun();
  SendAndStart(run);
  StopNode();
  ASSERT_EQ(std::remove((directory_ + "/journal.db").c_str()), 0);
  std::remove((directory_ + "/journal.db-wal").c_str());
  std::remove((directory_ + "/journal.db-shm").c_str());
  StartNode();
  Send(run);
  ASSERT_TRUE(Until([&] { return !OutcomeOf(run.request_id()).empty(); }));
  EXPECT_EQ(OutcomeOf(run.request_id()), "REFUSED journal");
  EXPECT_EQ(actions_->started + actions_->resumed, 0);
}

TEST_F(RunTest, CancelReachesTheActionsAndWhatComesLater) {
  const Request run = NewRun();
  SendAndStart(run);
  Send(NewCancel(run.job_id()));
  ASSERT_TRUE(Until([&] { return actions_->cancelled.size() == 1; }));
  EXPECT_EQ(actions_->cancelled[0], run.job_id());
  Request late = NewRun();
  late.set_job_id(run.job_id());
  Send(late);
  ASSERT_TRUE(Until([&] { return !OutcomeOf(late.request_id()).empty(); }));
  EXPECT_EQ(OutcomeOf(late.request_id()), "CANCELLED cancelled");
  EXPECT_EQ(actions_->started, 1);
}

TEST_F(RunTest, AResultQueryBringsWhatIsKnown) {
  const Request run = NewRun();
  SendAndStart(run);
  Send(NewQuery(run));
  ASSERT_TRUE(Until([&] { return RepliesTo(run.request_id()).size() == 2; }));
  EXPECT_TRUE(RepliesTo(run.request_id())[1].has_accepted());
  FinishAll(orch::v1::NODE_STATE_SUCCEEDED);
  ASSERT_TRUE(Until([&] { return !OutcomeOf(run.request_id()).empty(); }));
  clock_.Advance(absl::Hours(1));
  Send(NewQuery(run));
  ASSERT_TRUE(Until([&] { return RepliesTo(run.request_id()).size() == 4; }));
  const auto stored = RepliesTo(run.request_id())[3];
  EXPECT_EQ(stored.outcome().state(), orch::v1::NODE_STATE_SUCCEEDED);
  EXPECT_EQ(stored.request_digest(), trust::Sha256(run.SerializeAsString()));
}

TEST_F(RunTest, AResultQueryForTheUnknownSaysWhetherItNeverStarted) {
  clock_.Advance(absl::Seconds(5));  // the journal began before
  const Request never_sent = NewRun();
  const Request query = NewQuery(never_sent);
  Send(query);
  ASSERT_TRUE(Until([&] { return !RepliesTo(never_sent.request_id()).empty(); }));
  const auto reply = RepliesTo(never_sent.request_id())[0];
  EXPECT_TRUE(reply.unknown_request().never_started());
  EXPECT_EQ(reply.request_digest(), trust::Sha256(query.SerializeAsString()));

  Request older = NewRun();
  older.set_job_id("01ARZ3NDEKTSV4RRFFQ69G5FAV");  // of 2016
  Send(NewQuery(older));
  ASSERT_TRUE(Until([&] { return !RepliesTo(older.request_id()).empty(); }));
  EXPECT_FALSE(RepliesTo(older.request_id())[0].unknown_request().never_started());
}

TEST_F(RunTest, DiscoverySaysWillingOrWhyNot) {
  Request discover = NewRequest();
  discover.mutable_discover()->set_action("puppet.run");
  Send(discover);
  ASSERT_TRUE(Until([&] { return !RepliesTo(discover.request_id()).empty(); }));
  EXPECT_TRUE(RepliesTo(discover.request_id())[0].discovered().willing());

  discover = NewRequest();
  discover.mutable_discover()->set_action("package.install");
  Send(discover);
  ASSERT_TRUE(Until([&] { return !RepliesTo(discover.request_id()).empty(); }));
  EXPECT_EQ(RepliesTo(discover.request_id())[0].discovered().reason(), "unsupported");

  discover = NewRequest();
  discover.mutable_discover()->set_action("puppet.run");
  discover.set_default_allow(false);
  Send(discover);
  ASSERT_TRUE(Until([&] { return !RepliesTo(discover.request_id()).empty(); }));
  EXPECT_FALSE(RepliesTo(discover.request_id())[0].discovered().willing());
  EXPECT_EQ(RepliesTo(discover.request_id())[0].discovered().state(), orch::v1::NODE_STATE_DENIED);

  discover = NewRequest();
  discover.mutable_discover()->set_action("puppet.run");
  discover.mutable_target()->add_facts("role=db");
  Send(discover);
  Settle();
  EXPECT_TRUE(RepliesTo(discover.request_id()).empty());
}

TEST_F(RunTest, PresenceIsWholeAtFirstAndWhenAsked) {
  ASSERT_EQ(presences_.size(), 1u);
  EXPECT_EQ(presences_[0].node(), "web1");
  EXPECT_GT(presences_[0].actions_size(), 0);
  EXPECT_FALSE(presences_[0].has_facts());
  clock_.Advance(absl::Minutes(6));
  OnStrand([&] { agent_->OnTick(); });
  ASSERT_TRUE(Until([&] { return presences_.size() == 2; }));
  EXPECT_EQ(presences_[1].actions_size(), 0);
  EXPECT_EQ(presences_[1].actions_digest(), presences_[0].actions_digest());
  EXPECT_GT(presences_[1].sequence(), presences_[0].sequence());

  Request query = NewRequest();
  query.mutable_presence_query()->set_facts(true);
  query.mutable_presence_query()->set_certificates(true);
  Send(query);
  ASSERT_TRUE(Until([&] { return presences_.size() == 3; }));
  EXPECT_EQ(presences_[2].facts().json(), "{\"role\":\"web\"}");
}

TEST_F(RunTest, LargeFactsTravelPacked) {
  StopNode();
  const std::string facts = "{\"k8s\":\"" + std::string(300 << 10, 'x') + "\",\"role\":\"web\"}";
  ASSERT_TRUE(base::WriteFileAtomically(directory_ + "/facts.json", facts, 0644).ok());
  facts_expected_ = facts;
  StartNode();
  Request query = NewRequest();
  query.mutable_presence_query()->set_facts(true);
  Send(query);
  ASSERT_TRUE(Until([&] { return presences_.back().has_facts(); }));
  EXPECT_EQ(presences_.back().facts().json(), "");
  EXPECT_EQ(*base::Gunzip(presences_.back().facts().json_gzip(), 1 << 20), facts);
  for (const auto& error : presences_.back().fact_errors()) {
    EXPECT_EQ(error.source(), "classes")
        << "there is no Puppet here; the facts themselves are fine";
  }
}

TEST_F(RunTest, PresenceFollowsPuppetsState) {
  actions_->puppet.set_enabled(true);
  actions_->puppet.set_disable_message("maintenance");
  clock_.Advance(kPuppetLookInterval + absl::Seconds(1));
  OnStrand([&] { agent_->OnTick(); });
  ASSERT_TRUE(Until([&] { return presences_.size() == 2; }));
  EXPECT_EQ(presences_[1].puppet().disable_message(), "maintenance");
  clock_.Advance(kPuppetLookInterval + absl::Seconds(1));
  OnStrand([&] { agent_->OnTick(); });
  Settle();
  EXPECT_EQ(presences_.size(), 2u);  // no change, no presence
}

TEST_F(RunTest, LeavingSaysSo) {
  OnStrand([&] { agent_->Leave(); });
  ASSERT_TRUE(Until([&] { return presences_.size() == 2; }));
  EXPECT_TRUE(presences_[1].leaving());
}

TEST_F(RunTest, PresenceIsRepeatedAfterTheFirstBeaconOfAConnection) {
  for (int i : {1, 2, 3}) {
    Request beacon = NewRequest();
    beacon.mutable_beacon()->set_sequence(i);
    Send(beacon);
    Settle();
    clock_.Advance(kPresenceRepeatSpread);
    OnStrand([&] { agent_->OnTick(); });
    Settle();
    EXPECT_EQ(presences_.size(), 2u) << i;
  }
}

TEST_F(RunTest, ABeaconWithANewerRevocationListMakesTheNodeAskForIt) {
  for (int i : {1, 2, 3, 4}) {
    Request beacon = NewRequest();
    beacon.mutable_beacon()->set_sequence(i);
    (*beacon.mutable_beacon()->mutable_crl_numbers())[node_->CrlNumbers()[0].first] =
        i == 1 ? "1" : "99";
    Send(beacon);
    Settle();
    clock_.Advance(kPresenceRepeatSpread);
    OnStrand([&] { agent_->OnTick(); });
    Settle();
  }
  // At its connection, after its first beacon, and once for the list, whatever is heard meanwhile.
  ASSERT_EQ(presences_.size(), 3u);
  EXPECT_FALSE(presences_[1].behind_crls());
  EXPECT_TRUE(presences_[2].behind_crls());
}

TEST_F(RunTest, ADeafNodeConnectsAnew) {
  Request beacon = NewRequest();
  beacon.mutable_beacon()->set_sequence(1);
  Send(beacon);
  ASSERT_TRUE(Until([&] { return agent_->beacons().seen().contains("c1"); }));
  clock_.Advance(kBeaconsMissedMax * kBeaconInterval);
  const uint64_t connects = node_client_->status().connects;
  OnStrand([&] { agent_->OnTick(); });
  EXPECT_EQ(agent_->beacons().times_deaf(), 1u);
  ASSERT_TRUE(Until([&] { return node_client_->status().connects == connects + 1; }));
  Settle();
  // It says so in the presence of its new connection.
  ASSERT_TRUE(Until([&] { return presences_.back().has_deaf_time(); }));
  EXPECT_FALSE(presences_.front().has_deaf_time());
  EXPECT_EQ(presences_.back().deaf_time().seconds(), absl::ToUnixSeconds(clock_.Read().wall));
}

TEST_F(RunTest, TheNodesOwnPolicyMustAllowToo) {
  const auto own = policy::Policy::ParseNative(
      "rules:\n- effect: allow\n  callers: ['*']\n  actions: [node.ping]\n", "own.yaml");
  ASSERT_TRUE(own.ok()) << own.status();
  OnStrand([&] { agent_->TakePolicy(*own); });
  const Request run = NewRun();
  Send(run);
  ASSERT_TRUE(Until([&] { return !OutcomeOf(run.request_id()).empty(); }));
  EXPECT_EQ(OutcomeOf(run.request_id()), "DENIED denied");
  Settle();
}

TEST_F(RunTest, ARevocationIsTakenOver) {
  const auto revoked = ca_.Issue("c1", trust::Role::kController);
  ca_.Revoke(revoked);
  const std::string crl = ca_.CrlDer();
  const size_t half = crl.size() / 2;
  for (uint32_t part = 0; part < 2; ++part) {
    Request update = NewRequest();
    update.mutable_crl()->set_digest(trust::Sha256(crl));
    update.mutable_crl()->set_part(part);
    update.mutable_crl()->set_parts(2);
    update.mutable_crl()->set_data(part == 0 ? crl.substr(0, half) : crl.substr(half));
    Send(update);
  }
  Settle();
  ASSERT_EQ(node_->CrlsDer().size(), 1u);
  EXPECT_EQ(node_->CrlsDer()[0], crl);
}

}  // namespace
}  // namespace orch::nodeagent
