// SPDX-License-Identifier: Apache-2.0
// Jobs that change nodes, and what every job has in common.
#include "base/text.h"
#include "controller/job/job_fixture.h"

namespace orch::controller {
namespace {

using absl::Minutes;
using absl::Seconds;
using orch::bus::v1::Reply;
using orch::v1::NodeState;
using Applied = Job::Applied;

TEST_F(JobTest, MutatingWithoutNodesFails) {
  Make(Mutating(), {});
  EXPECT_EQ(state(), orch::v1::JOB_STATE_FAILED);
  EXPECT_EQ(job_->Snapshot(false).message(), "no node matched");
}

TEST_F(JobTest, MutatingWalksThroughTheStates) {
  Make(Mutating(), Nodes({"a"}));
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_PENDING);
  auto starts = job_->TakeStarts(500, now());
  EXPECT_EQ(starts, std::vector<std::string>{"a"});
  EXPECT_TRUE(job_->TakeStarts(500, now()).empty());
  job_->OnPublishing(starts, now().wall + Seconds(60), now());
  job_->OnSent("a", now());
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_SENT);
  EXPECT_EQ(Accept("a"), Applied::kChanged);
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_ACCEPTED);
  EXPECT_EQ(Accept("a"), Applied::kDuplicate);
  EXPECT_EQ(Progress("a", 2), Applied::kChanged);
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_RUNNING);
  EXPECT_EQ(Progress("a", 2), Applied::kDuplicate);
  EXPECT_EQ(End("a"), Applied::kChanged);
  EXPECT_EQ(state(), orch::v1::JOB_STATE_SUCCEEDED);
  const auto changes = job_->TakeChanges(now());
  std::vector<int> kinds;
  for (const auto& event : changes.events) kinds.push_back(event->kind_case());
  EXPECT_EQ(kinds, (std::vector<int>{3, 4, 4, 4, 5, 4, 7}));
  EXPECT_EQ(changes.nodes.size(), 1u);
  EXPECT_EQ(changes.nodes[0].sequence, 6u);
}

TEST_F(JobTest, AnAnswerMayOvertakeTheReceipt) {
  Make(Mutating(), Nodes({"a"}));
  auto starts = job_->OnPublishing(job_->TakeStarts(500, now()), now().wall + Seconds(60), now());
  Accept("a");
  job_->OnSent("a", now());
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_ACCEPTED);
  End("a");
  job_->OnSent("a", now());
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_SUCCEEDED);
}

TEST_F(JobTest, SilenceIsFinalOnlyAfterExpiryAndSkew) {
  Make(Mutating(), Nodes({"a"}));
  Start();
  Pass(Seconds(89));
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_SENT);
  Pass(Seconds(1));
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_NO_RESPONSE);
  EXPECT_EQ(state(), orch::v1::JOB_STATE_FAILED);
  EXPECT_EQ(Accept("a"), Applied::kLate);
  EXPECT_EQ(End("a"), Applied::kLate);
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_NO_RESPONSE);
  const auto changes = job_->TakeChanges(now());
  EXPECT_NE(changes.nodes.back().late_evidence.find("SUCCEEDED"), std::string::npos);
}

TEST_F(JobTest, WordsOfANodeAreCutBetweenCharacters) {
  Make(Mutating(), Nodes({"a"}));
  Start();
  orch::bus::v1::Reply reply = Make("a", 99);
  reply.mutable_outcome()->set_state(orch::v1::NODE_STATE_FAILED);
  reply.mutable_outcome()->set_reason(std::string(kNodeReasonMax - 1, 'a') + "é");
  reply.mutable_outcome()->set_message(std::string(kNodeMessageMax - 1, 'a') + "é");
  EXPECT_EQ(job_->Apply(reply, now()), Applied::kChanged);
  for (const auto& event : job_->TakeChanges(now()).events) {
    if (event->node().state() != orch::v1::NODE_STATE_FAILED) continue;
    EXPECT_EQ(event->node().reason(), std::string(kNodeReasonMax - 1, 'a'));
    EXPECT_EQ(event->node().message(), std::string(kNodeMessageMax - 1, 'a'));
    EXPECT_TRUE(orch::v1::JobEvent().ParseFromString(event->SerializeAsString()));
  }
}

TEST_F(JobTest, LateEvidenceIsCutBetweenCharacters) {
  Make(Mutating(), Nodes({"a"}));
  Start();
  Pass(Seconds(90));
  std::string words;
  for (int i = 0; i < 600; ++i) words += "あ";
  // Whatever stands before it: the cut falls inside a character for two of three lengths.
  for (const char* before : {"", "x", "xy"}) {
    EXPECT_EQ(End("a", orch::v1::NODE_STATE_FAILED, before + words), Applied::kLate);
    const std::string late = job_->TakeChanges(now()).nodes.back().late_evidence;
    EXPECT_TRUE(base::IsUtf8(late)) << late;
    EXPECT_GT(late.size(), 508u);
    EXPECT_LE(late.size(), 512u);
  }
}

TEST_F(JobTest, TheReasonOfACancelIsCutBetweenCharacters) {
  Make(Mutating(), Nodes({"a"}));
  job_->Cancel("cert=op", std::string(kNodeMessageMax - 1, 'a') + "é", now());
  EXPECT_TRUE(base::IsUtf8(job_->Snapshot(false).message()));
}

TEST_F(JobTest, AcceptedWithoutAResultTimesOut) {
  Make(Mutating(), Nodes({"a"}));
  Start();
  Pass(Seconds(30));
  Accept("a");
  Pass(Minutes(9));
  Progress("a", 2);
  Pass(Seconds(59));
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_RUNNING);
  Pass(Seconds(1));
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_TIMED_OUT);
  EXPECT_EQ(End("a", orch::v1::NODE_STATE_TIMED_OUT), Applied::kDuplicate);
  EXPECT_EQ(End("a", orch::v1::NODE_STATE_FAILED, "x"), Applied::kLate);
}

TEST_F(JobTest, OutcomesDecidedBeforeTheStart) {
  Make(Mutating(), {{.node = "a"},
                    {.node = "b", .state = orch::v1::NODE_STATE_DENIED, .reason = "policy"},
                    {.node = "c",
                     .state = orch::v1::NODE_STATE_NO_RESPONSE,
                     .last_seen = clock_.Read().wall - Minutes(3)}});
  EXPECT_EQ(state(), orch::v1::JOB_STATE_RUNNING);
  EXPECT_EQ(Start(), std::vector<std::string>{"a"});
  End("a");
  EXPECT_EQ(state(), orch::v1::JOB_STATE_FAILED);
  EXPECT_EQ(Count(orch::v1::NODE_STATE_DENIED), 1u);
  const auto changes = job_->TakeChanges(now());
  EXPECT_EQ(changes.events[0]->started().job().counts(0).count(), 3u);
  EXPECT_TRUE(changes.events[2]->node().has_last_seen());
}

TEST_F(JobTest, FrozenListStaysFrozen) {
  Make(Mutating(), Nodes({"a", "b"}));
  Start();
  EXPECT_EQ(End("x"), Applied::kUnknownNode);
  EXPECT_EQ(job_->Snapshot(false).targets(), 2u);
}

TEST_F(JobTest, WindowSlides) {
  Make(Mutating({.concurrency = 2}), Nodes({"a", "b", "c", "d"}));
  EXPECT_EQ(Start(), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(Start().empty());
  End("b");
  EXPECT_EQ(Start(), std::vector<std::string>{"c"});
  EXPECT_EQ(End("d"), Applied::kMalformed);  // it has not been asked
  End("a");
  End("c");
  EXPECT_EQ(Start(), std::vector<std::string>{"d"});
  End("d");
  EXPECT_EQ(state(), orch::v1::JOB_STATE_SUCCEEDED);
}

TEST_F(JobTest, StopsByItsLimits) {
  Make(Mutating({.concurrency = 2, .max_failures = 1}), Nodes({"a", "b", "c"}));
  Start();
  End("a", orch::v1::NODE_STATE_FAILED);
  EXPECT_EQ(state(), orch::v1::JOB_STATE_STOPPING);
  EXPECT_EQ(At("c"), orch::v1::NODE_STATE_CANCELLED);
  EXPECT_TRUE(Start().empty());
  End("b");
  EXPECT_EQ(state(), orch::v1::JOB_STATE_STOPPED);
  EXPECT_EQ(job_->Snapshot(false).message(), "stopped: 1 node failed (max_failures 1)");
}

TEST_F(JobTest, AllDoneIsNotStopped) {
  Make(Mutating({.max_failures = 1}), Nodes({"a"}));
  Start();
  End("a", orch::v1::NODE_STATE_FAILED);
  EXPECT_EQ(state(), orch::v1::JOB_STATE_FAILED);
}

TEST_F(JobTest, CancelEndsWhatHasNotStartedAndWaitsForTheRest) {
  Make(Mutating({.concurrency = 2}), Nodes({"a", "b", "c", "d"}));
  Start();
  Accept("a");
  job_->Cancel("cert=op", "", now());
  EXPECT_EQ(state(), orch::v1::JOB_STATE_STOPPING);
  EXPECT_EQ(Count(orch::v1::NODE_STATE_CANCELLED), 2u);
  job_->Cancel("cert=op", "again", now());
  EXPECT_EQ(End("b", orch::v1::NODE_STATE_CANCELLED), Applied::kChanged);
  End("a");
  EXPECT_EQ(state(), orch::v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(job_->Snapshot(false).message(), "cancelled by cert=op");
}

TEST_F(JobTest, ClaimedNodesThatAreCancelledAreNotPublished) {
  Make(Mutating(), Nodes({"a", "b"}));
  auto claimed = job_->TakeStarts(1, now());
  job_->Cancel("cert=op", "", now());
  EXPECT_TRUE(job_->OnPublishing(claimed, now().wall + Seconds(60), now()).empty());
  EXPECT_EQ(state(), orch::v1::JOB_STATE_CANCELLED);
}

TEST_F(JobTest, WhatCantBeSignedIsNotStarted) {
  Make(Mutating(), Nodes({"a"}));
  job_->OnUnpublishable(job_->TakeStarts(500, now()), "sign: no key", now());
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_CANCELLED);
  EXPECT_EQ(state(), orch::v1::JOB_STATE_FAILED);
}

TEST_F(JobTest, PauseHoldsStartsBack) {
  Make(Mutating({.concurrency = 1}), Nodes({"a", "b"}));
  Start();
  EXPECT_FALSE(job_->Resume("cert=op", now()).ok());
  ASSERT_TRUE(job_->Pause("cert=op", now()).ok());
  EXPECT_FALSE(job_->Pause("cert=op", now()).ok());
  End("a");
  EXPECT_TRUE(Start().empty());
  EXPECT_EQ(state(), orch::v1::JOB_STATE_PAUSED);
  ASSERT_TRUE(job_->Resume("cert=op", now()).ok());
  EXPECT_EQ(Start(), std::vector<std::string>{"b"});
  End("b");
  EXPECT_EQ(state(), orch::v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(job_->Pause("cert=op", now()).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(JobTest, WaitingNodesAreGivenUpWhenTheBusIsGone) {
  Make(Mutating({.concurrency = 1}), Nodes({"a", "b"}));
  Start();
  job_->GiveUpWaiting("no bus for 5m", now());
  EXPECT_EQ(At("b"), orch::v1::NODE_STATE_NO_RESPONSE);
  End("a");
  EXPECT_TRUE(job_->ended());
}

TEST_F(JobTest, AnUnknownRequestIsLostOrNeverArrived) {
  Make(Mutating(), Nodes({"a", "b", "c"}));
  Start();
  Accept("a");
  EXPECT_EQ(Unknown("a"), Applied::kChanged);
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_LOST);
  EXPECT_EQ(Unknown("b"), Applied::kDuplicate);  // it may still arrive
  EXPECT_EQ(At("b"), orch::v1::NODE_STATE_SENT);
  job_->TakeChanges(now());
  Pass(Seconds(61));
  EXPECT_EQ(Unknown("b"), Applied::kDuplicate) << "a node whose clock is slow may still take it";
  EXPECT_EQ(At("b"), orch::v1::NODE_STATE_SENT);
  clock_.Advance(Seconds(30));  // heard before the deadline is looked at
  EXPECT_EQ(Unknown("b"), Applied::kChanged);
  EXPECT_EQ(At("b"), orch::v1::NODE_STATE_NO_RESPONSE);
  EXPECT_EQ(Unknown("c", /*never_started=*/false), Applied::kChanged);
  EXPECT_EQ(At("c"), orch::v1::NODE_STATE_NO_RESPONSE);
  const auto events = job_->TakeChanges(now()).events;
  EXPECT_EQ(events.at(0)->node().reason(), "never_arrived");
  EXPECT_EQ(events.at(1)->node().reason(), "journal_lost") << "it may have started";
}

TEST_F(JobTest, AnotherActionsResultIsNoAnswer) {
  Make(Mutating(), Nodes({"a"}));
  Start();
  Reply reply = Make("a", 3);
  reply.mutable_outcome()->set_state(orch::v1::NODE_STATE_SUCCEEDED);
  reply.mutable_outcome()->mutable_result()->mutable_node_ping();
  EXPECT_EQ(job_->Apply(reply, now()), Applied::kMalformed);
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_SENT);
  reply.mutable_outcome()->mutable_result()->mutable_puppet_run();
  EXPECT_EQ(job_->Apply(reply, now()), Applied::kChanged);
}

TEST_F(JobTest, StopsWhereTheRightIsGone) {
  Make(Mutating({.concurrency = 1}), Nodes({"a", "b"}));
  Start();
  job_->Stop("cert=operator may no longer do puppet.run", now());
  EXPECT_EQ(state(), orch::v1::JOB_STATE_STOPPING);
  EXPECT_EQ(At("b"), orch::v1::NODE_STATE_CANCELLED);
  End("a");
  EXPECT_EQ(state(), orch::v1::JOB_STATE_STOPPED);
  EXPECT_EQ(job_->Snapshot(false).message(), "stopped: cert=operator may no longer do puppet.run");
}

TEST_F(JobTest, StartsOnlyWhatItMay) {
  Make(Mutating(), Nodes({"a", "b", "c"}));
  int asked = 0;
  const auto two = [&asked](const std::string&) { return ++asked <= 2; };
  EXPECT_EQ(job_->TakeStarts(500, two, now()), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(job_->waiting(), 1u);
  EXPECT_EQ(job_->nodes().StartedNames(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(job_->nodes().OpenNames().size(), 3u);
}

TEST_F(JobTest, TellsHowStartedNodesEnded) {
  Make(Mutating(), {{.node = "a"}, {.node = "b", .state = orch::v1::NODE_STATE_DENIED}});
  Start();
  Accept("a");
  Pass(Seconds(40));
  Reply reply = Make("a", 3);
  reply.mutable_outcome()->set_state(orch::v1::NODE_STATE_SUCCEEDED);
  auto* run = reply.mutable_outcome()->mutable_result()->mutable_puppet_run();
  run->mutable_config_retrieval_time()->set_seconds(3);
  job_->Apply(reply, now());
  const auto changes = job_->TakeChanges(now());
  ASSERT_EQ(changes.ends.size(), 1u) << "b was never started";
  EXPECT_EQ(changes.ends[0].node, "a");
  EXPECT_EQ(changes.ends[0].outcome, orch::v1::NODE_STATE_SUCCEEDED);
  EXPECT_EQ(changes.ends[0].length, Seconds(40));
  EXPECT_EQ(changes.ends[0].retrieval, Seconds(3));
}

TEST_F(JobTest, MalformedRepliesChangeNothing) {
  Make(Mutating(), Nodes({"a"}));
  Start();
  EXPECT_EQ(job_->Apply(Make("a"), now()), Applied::kMalformed);
  for (NodeState state : {orch::v1::NODE_STATE_UNSPECIFIED, orch::v1::NODE_STATE_PENDING,
                          orch::v1::NODE_STATE_RUNNING, orch::v1::NODE_STATE_NO_RESPONSE,
                          static_cast<NodeState>(77), static_cast<NodeState>(-1)}) {
    EXPECT_EQ(End("a", state), Applied::kMalformed);
  }
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_SENT);
}

TEST_F(JobTest, ProgressIsBoundedAndTheOutcomeIsNot) {
  Make(Mutating(), Nodes({"a"}));
  Start();
  for (uint32_t i = 1; i <= kProgressPerNodeMax + 50; ++i) Progress("a", i);
  EXPECT_EQ(job_->progress_dropped(), 50u);
  EXPECT_EQ(End("a", orch::v1::NODE_STATE_FAILED, std::string(100000, 'x')), Applied::kChanged);
  const auto changes = job_->TakeChanges(now());
  EXPECT_EQ(changes.events.size(), 1 + 1 + 1 + kProgressPerNodeMax + 1 + 1);
  EXPECT_EQ(changes.events[changes.events.size() - 2]->node().message().size(), kNodeMessageMax);
}

TEST_F(JobTest, ProgressIsCutAndHasABudgetOfBytes) {
  Make(Mutating(), Nodes({"a"}));
  Start();
  Accept("a");
  job_->TakeChanges(now());
  for (uint64_t i = 1; i <= kProgressPerNodeMax; ++i) {
    orch::bus::v1::Reply reply = Make("a", i);
    // One byte, then characters of two: a cut at an even number of bytes would halve one.
    std::string text = "x";
    while (text.size() < 100'000) text += "ä";
    reply.mutable_progress()->mutable_puppet_run()->set_message(text);
    reply.mutable_progress()->mutable_puppet_run()->set_source(text);
    EXPECT_EQ(job_->Apply(reply, now()), Job::Applied::kChanged);
  }
  size_t bytes = 0, kept = 0;
  for (const auto& event : job_->TakeChanges(now()).events) {
    if (!event->has_progress()) continue;
    ++kept;
    bytes += event->progress().progress().ByteSizeLong();
    EXPECT_EQ(event->progress().progress().puppet_run().message().size(), kNodeMessageMax - 1);
  }
  EXPECT_GT(kept, 20u);
  EXPECT_LE(bytes, kProgressBytesPerNodeMax);
  EXPECT_EQ(job_->progress_dropped(), kProgressPerNodeMax - kept);
  EXPECT_EQ(End("a"), Job::Applied::kChanged);
}

TEST_F(JobTest, CountsVerdicts) {
  Make(Mutating(), Nodes({"a"}));
  Start();
  Reply reply = Make("a", 3);
  reply.mutable_outcome()->set_state(orch::v1::NODE_STATE_SUCCEEDED);
  reply.mutable_outcome()->mutable_result()->mutable_puppet_run()->set_verdict(
      orch::v1::PUPPET_RUN_VERDICT_CHANGED);
  job_->Apply(reply, now());
  ASSERT_EQ(job_->Snapshot(false).puppet_verdicts_size(), 1);
  EXPECT_EQ(job_->Snapshot(false).puppet_verdicts(0).count(), 1u);
}

class RestoredJobTest : public JobTest {
 protected:
  // Overdue since long ago: `a` ran, `b` was sent its request.
  RestoredJobTest() {
    clock_.Advance(absl::Hours(1));
    orch::v1::Job status;
    status.set_state(orch::v1::JOB_STATE_RUNNING);
    status.set_last_sequence(7);
    const absl::Time past = now().wall - absl::Minutes(30);
    std::vector<RestoredNode> nodes = {
        {.node = "a",
         .state = orch::v1::NODE_STATE_ACCEPTED,
         .deadline = past,
         .batch_expiry = past},
        {.node = "b", .state = orch::v1::NODE_STATE_SENT, .batch_expiry = past}};
    job_ = Job::Restore(Mutating(), status, false, nodes, now());
    job_->OnBus(false, now());
  }
};

TEST_F(RestoredJobTest, NobodyIsJudgedUnheard) {
  Pass(absl::Seconds(90));
  job_->OnBus(true, now());
  EXPECT_LE(*job_->NextDeadline(), now().steady + kRestoredGrace);
  Pass(kRestoredGrace - absl::Seconds(1));
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_ACCEPTED);
  EXPECT_EQ(At("b"), orch::v1::NODE_STATE_SENT);
  End("a");
  Pass(absl::Seconds(1));
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_SUCCEEDED);
  EXPECT_EQ(At("b"), orch::v1::NODE_STATE_NO_RESPONSE);
  EXPECT_EQ(state(), orch::v1::JOB_STATE_FAILED);
}

TEST_F(RestoredJobTest, WithoutABusItEndsAllTheSame) {
  Pass(absl::Seconds(5));
  job_->OnBus(true, now());
  Pass(kRestoredGrace - absl::Seconds(5));
  job_->OnBus(false, now());
  Pass(kRestoredGrace);
  EXPECT_EQ(state(), orch::v1::JOB_STATE_RUNNING);
  Pass(*job_->NextDeadline() - now().steady);
  EXPECT_EQ(At("a"), orch::v1::NODE_STATE_TIMED_OUT);
  EXPECT_EQ(At("b"), orch::v1::NODE_STATE_NO_RESPONSE);
  EXPECT_EQ(state(), orch::v1::JOB_STATE_FAILED);
}

TEST_F(RestoredJobTest, ABusThatComesAndGoesDelaysItNotForever) {
  for (int i = 0; i < 20; ++i) {
    job_->OnBus(i % 2 == 0, now());
    Pass(absl::Seconds(30));
  }
  EXPECT_TRUE(job_->ended());
}

TEST_F(JobTest, ComesBackFromTheStore) {
  Make(Mutating({.concurrency = 3}), Nodes({"a", "b", "c", "d", "e"}));
  Start();
  Accept("b");
  End("a", orch::v1::NODE_STATE_FAILED);
  const orch::v1::Job status = job_->Snapshot(false);
  const absl::Time expiry = now().wall + Seconds(60);
  std::vector<RestoredNode> nodes;
  for (const NodeChange& change : job_->TakeChanges(now()).nodes) {
    const bool asked = change.node <= "c";
    nodes.push_back({.node = change.node,
                     .state = change.state,
                     .send_time = change.send_time,
                     .deadline = change.deadline,
                     .batch_expiry = asked ? expiry : absl::InfinitePast()});
  }
  clock_.Advance(Seconds(20));
  job_ = Job::Restore(Mutating({.concurrency = 3}), status, false, nodes, now());
  EXPECT_EQ(job_->last_sequence(), status.last_sequence());
  EXPECT_EQ(job_->Snapshot(false).counts_size(), status.counts_size());
  EXPECT_TRUE(job_->TakeChanges(now()).empty());
  EXPECT_EQ(Start(), std::vector<std::string>{"d"});  // b and c hold their places
  EXPECT_EQ(End("a"), Applied::kLate);
  job_->OnBus(true, now());
  Pass(Seconds(70));
  EXPECT_EQ(At("c"), orch::v1::NODE_STATE_NO_RESPONSE);
  EXPECT_EQ(At("b"), orch::v1::NODE_STATE_ACCEPTED);
  Pass(Minutes(9));
  EXPECT_EQ(At("b"), orch::v1::NODE_STATE_TIMED_OUT);
}

}  // namespace
}  // namespace orch::controller
