// SPDX-License-Identifier: Apache-2.0
// Jobs that only ask.
#include <map>

#include "controller/job/job_fixture.h"

namespace orch::controller {
namespace {

using absl::Milliseconds;
using absl::Seconds;
using Applied = Job::Applied;

TEST_F(JobTest, ReadOnlyIsOverWithTheLastExpectedAnswer) {
  Make(ReadOnly(), Nodes({"a", "b"}));
  job_->OnBroadcast(now());
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_SENT);
  EXPECT_EQ(End("a"), Applied::kChanged);
  EXPECT_EQ(state(), orch::v1::JOB_STATE_RUNNING);
  EXPECT_EQ(End("b"), Applied::kChanged);
  EXPECT_EQ(state(), orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_FALSE(job_->NextDeadline().has_value());
}

TEST_F(JobTest, ReadOnlyNamesTheSilent) {
  Make(ReadOnly(), Nodes({"a", "b"}));
  clock_.Advance(Seconds(1));  // signing and storing took a while
  job_->OnBroadcast(now());
  End("a");
  Pass(Milliseconds(1999));
  EXPECT_EQ(state(), orch::v1::JOB_STATE_RUNNING);
  Pass(Milliseconds(1));
  EXPECT_EQ(state(), orch::v1::JOB_STATE_FAILED);
  EXPECT_EQ(At("b"), orch::v1::NODE_STATE_NO_RESPONSE);
}

TEST_F(JobTest, AListingNamesNobodyThatThePolicyHides) {
  JobSetup setup = ReadOnly();
  setup.listing = true;
  Make(setup, Nodes({"a"}), {"maybe"});
  job_->OnBroadcast(now());
  EXPECT_EQ(End("hidden", orch::v1::NODE_STATE_DENIED), Applied::kUnknownNode);
  EXPECT_EQ(End("a"), Applied::kChanged);
  EXPECT_FALSE(job_->ended()) << "the one that the roster can't tell of is waited for";
  EXPECT_EQ(End("maybe", orch::v1::NODE_STATE_DENIED), Applied::kUnknownNode);
  EXPECT_FALSE(job_->ended()) << "nor does the time it takes tell that it is there";
  Pass(Seconds(10));
  EXPECT_EQ(state(), orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(job_->Snapshot(false).targets(), 1u);
}

TEST_F(JobTest, ABusyFleetIsNotCalledDead) {
  std::vector<JobNodeStart> nodes;
  for (int i = 0; i < 100; ++i) nodes.push_back({.node = "n" + std::to_string(i)});
  Make(ReadOnly(), nodes);
  job_->OnBroadcast(now());
  for (int i = 0; i < 49; ++i) {
    Pass(Milliseconds(200));
    EXPECT_EQ(End("n" + std::to_string(i)), Applied::kChanged) << i;
  }
  Pass(Milliseconds(199));
  EXPECT_FALSE(job_->ended());
  Pass(Milliseconds(1));  // ten seconds are enough
  EXPECT_TRUE(job_->ended());
}

TEST_F(JobTest, ATimeoutThatWasAskedForIsNotStretched) {
  JobSetup setup = ReadOnly();
  setup.strict_timeout = true;
  Make(setup, Nodes({"a", "b"}));
  job_->OnBroadcast(now());
  Pass(Milliseconds(1900));
  End("a");
  Pass(Milliseconds(100));
  EXPECT_TRUE(job_->ended());
}

TEST_F(JobTest, ReadOnlyEndsEvenIfItNeverWentOut) {
  Make(ReadOnly(), Nodes({"a"}));
  ASSERT_TRUE(job_->NextDeadline().has_value());
  Pass(*job_->NextDeadline() - now().steady);
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_NO_RESPONSE);
  EXPECT_TRUE(job_->ended());
}

TEST_F(JobTest, AnUnexpectedAnswerIsCountedIn) {
  Make(ReadOnly(), Nodes({"a"}));
  job_->OnBroadcast(now());
  EXPECT_EQ(End("x"), Applied::kChanged);
  EXPECT_EQ(job_->Snapshot(false).targets(), 2u);
  EXPECT_TRUE(job_->TakeChanges(now()).events.back()->node().has_send_time())
      << "when all were asked";
  End("a");
  EXPECT_EQ(state(), orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(End("y"), Applied::kUnknownNode);
  EXPECT_EQ(job_->Snapshot(false).targets(), 2u);
}

TEST_F(JobTest, NobodyExpectedWaitsUntilItIsQuiet) {
  Make(WithoutRoster(), {});
  job_->OnBroadcast(now());
  Pass(Seconds(1));
  End("a");
  Pass(Milliseconds(200));
  End("b");
  Pass(Milliseconds(299));
  EXPECT_FALSE(job_->ended());
  Pass(Milliseconds(1));
  EXPECT_EQ(state(), orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(job_->Snapshot(false).targets(), 2u);
}

TEST_F(JobTest, NobodyAnswersMeansNothingMatched) {
  Make(WithoutRoster(), {});
  job_->OnBroadcast(now());
  Pass(Seconds(2));
  EXPECT_EQ(state(), orch::v1::JOB_STATE_FAILED);
  EXPECT_EQ(job_->Snapshot(false).message(), "no node matched");
}

TEST_F(JobTest, NobodyExpectedIsBelievedSoonWhereTheRosterIsKnown) {
  Make(ReadOnly(), {});
  job_->OnBroadcast(now());
  Pass(kQuietWindow - Milliseconds(1));
  EXPECT_FALSE(job_->ended());
  Pass(Milliseconds(1));
  EXPECT_TRUE(job_->ended());
}

// A controller that has just started knows a few nodes of many.
TEST_F(JobTest, WithoutARosterTheExpectedAreNotAll) {
  Make(WithoutRoster(), Nodes({"a"}));
  job_->OnBroadcast(now());
  End("x");
  Pass(Seconds(1));
  End("a");
  Pass(Milliseconds(200));
  EXPECT_EQ(End("y"), Applied::kChanged);
  Pass(Milliseconds(299));
  EXPECT_FALSE(job_->ended());
  Pass(Milliseconds(1));
  EXPECT_EQ(state(), orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(job_->Snapshot(false).targets(), 3u);
}

TEST_F(JobTest, NobodyIsAskedWhereAListOfNamesIsEmpty) {
  JobSetup setup = WithoutRoster();
  setup.nobody = true;
  Make(setup, {});
  EXPECT_EQ(state(), orch::v1::JOB_STATE_FAILED);
  EXPECT_EQ(job_->Snapshot(false).message(), "no node matched");
}

TEST_F(JobTest, TheSilentAreNamedWithWhenTheyWereLastSeen) {
  const absl::Time seen = now().wall - Seconds(90);
  Make(ReadOnly(), {{.node = "a", .last_seen = seen}, {.node = "typo", .unknown = true}});
  job_->OnBroadcast(now());
  Pass(Seconds(2));
  std::map<std::string, orch::v1::JobNode> ended;
  for (const auto& event : job_->TakeChanges(now()).events) {
    if (event->has_node()) ended[event->node().node()] = event->node();
  }
  EXPECT_EQ(ended["a"].last_seen().seconds(), absl::ToUnixSeconds(seen));
  EXPECT_EQ(ended["a"].message(), "no answer within 2s");
  EXPECT_FALSE(ended["typo"].has_last_seen());
  EXPECT_EQ(ended["typo"].message(), "no answer within 2s; no node of this name is known");
}

TEST_F(JobTest, AQuietWindowNeverOutlastsTheAnswerTimeout) {
  JobSetup setup = WithoutRoster();
  setup.strict_timeout = true;
  Make(setup, {});
  job_->OnBroadcast(now());
  for (int i = 0; i < 9; ++i) {
    Pass(Milliseconds(220));
    End("n" + std::to_string(i));
  }
  Pass(Milliseconds(20));
  EXPECT_TRUE(job_->ended());
}

TEST_F(JobTest, MaybesAreWaitedForButNotNamed) {
  Make(ReadOnly(), Nodes({"a"}), {"m1", "m2"});
  job_->OnBroadcast(now());
  End("a");
  EXPECT_FALSE(job_->ended());
  End("m1");
  Pass(Seconds(2));
  EXPECT_EQ(state(), orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(job_->Snapshot(false).targets(), 2u);
  EXPECT_NE(job_->Snapshot(false).message().find("1 node that the target may"), std::string::npos);
}

TEST_F(JobTest, ReadOnlyCancelWaitsForNobody) {
  Make(ReadOnly(), Nodes({"a", "b"}));
  job_->OnBroadcast(now());
  End("a");
  job_->Cancel("cert=x", "why not", now());
  EXPECT_EQ(state(), orch::v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(At("b"), orch::v1::NODE_STATE_CANCELLED);
  EXPECT_EQ(job_->Snapshot(false).message(), "cancelled by cert=x: why not");
}

TEST_F(JobTest, ABrokerThatConfirmsNothingIsBlamedAndNotTheNodes) {
  Make(ReadOnly(), {{.node = "a"}, {.node = "b", .gone = true}});
  job_->OnBroadcast(now(), "no receipt within 30s");
  Pass(Seconds(2));
  std::map<std::string, orch::v1::JobNode> ended;
  for (const auto& event : job_->TakeChanges(now()).events) {
    if (event->has_node()) ended[event->node().node()] = event->node();
  }
  EXPECT_EQ(ended["a"].reason(), "not_confirmed");
  EXPECT_EQ(
      ended["a"].message(),
      "the broker did not confirm the request (no receipt within 30s): whether the node got it "
      "is not known");
  EXPECT_EQ(ended["b"].reason(), "not_confirmed");
}

}  // namespace
}  // namespace orch::controller
