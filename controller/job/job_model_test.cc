// SPDX-License-Identifier: Apache-2.0
// Throws random inputs in random order at jobs, restores them from what a store would have, and
// holds each against what must be true of every job at every moment.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "controller/job/job.h"

namespace orch::controller {
namespace {

using orch::bus::v1::Reply;
using orch::v1::NodeState;

class Model {
 public:
  explicit Model(uint32_t seed) : random_(seed) {
    setup_.id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    setup_.caller = "cert=operator";
    setup_.mutating = Chance(60);
    setup_.answer_timeout = absl::Seconds(2);
    setup_.run_timeout = absl::Minutes(5);
    if (Chance(50)) setup_.rollout.concurrency = 1 + Below(4);
    if (Chance(30)) setup_.rollout.canary = 1 + Below(3);
    if (Chance(30)) setup_.rollout.batch_size = 1 + Below(3);
    if (Chance(30)) setup_.rollout.batch_sleep = absl::Seconds(Below(60));
    if (Chance(30)) setup_.rollout.max_failures = 1 + Below(3);
    std::vector<JobNodeStart> nodes;
    std::vector<std::string> maybe;
    const int count = Below(12);
    for (int i = 0; i < count; ++i) {
      JobNodeStart start{.node = "n" + std::to_string(i)};
      if (setup_.mutating && Chance(15)) start.state = orch::v1::NODE_STATE_DENIED;
      if (!setup_.mutating && Chance(15)) {
        maybe.push_back(start.node);
      } else {
        nodes.push_back(start);
      }
    }
    job_ = std::make_unique<Job>(setup_, nodes, maybe, clock_.Read());
    Check();
  }

  // One random input.
  void Step() {
    switch (Below(12)) {
      case 0:
        Claim();
        break;
      case 1:
        PublishOne();
        break;
      case 2:
        job_->OnSent(AnyNode(), clock_.Read());
        break;
      case 3:
        clock_.Advance(absl::Milliseconds(Below(20000)));
        job_->OnTime(clock_.Read());
        break;
      case 4:
        if (!setup_.mutating) job_->OnBroadcast(clock_.Read());
        break;
      case 5:
        if (Chance(5)) job_->Cancel("cert=x", "", clock_.Read());
        break;
      case 6:
        if (Chance(20)) (void)job_->Pause("cert=x", clock_.Read());
        if (Chance(50)) (void)job_->Resume("cert=x", clock_.Read());
        break;
      case 7:
        if (Chance(10)) Restore();
        if (Chance(20)) job_->OnBus(Chance(50), clock_.Read());
        break;
      default:
        Say();
    }
    Check();
  }

  // Lets time alone end it, as it must.
  void RunOut() {
    for (int i = 0; i < 10000 && !job_->ended(); ++i) {
      (void)job_->Resume("cert=x", clock_.Read());
      Claim();
      while (!claimed_.empty()) PublishOne();
      const auto next = job_->NextDeadline();
      if (next.has_value() && *next > clock_.Read().steady) {
        clock_.Advance(*next - clock_.Read().steady);
      }
      job_->OnTime(clock_.Read());
      Check();
    }
    ASSERT_TRUE(job_->ended()) << job_->Snapshot(false).ShortDebugString() << " waiting "
                               << job_->waiting() << " rollout " << setup_.rollout.canary << " "
                               << setup_.rollout.concurrency << " " << setup_.rollout.batch_size
                               << " " << setup_.rollout.max_failures;
    const uint64_t last = job_->last_sequence();
    for (int i = 0; i < 50; ++i) Say();
    Check();
    EXPECT_EQ(job_->last_sequence(), last) << "nothing follows the end";
    EXPECT_TRUE(finished_);
  }

 private:
  bool Chance(int percent) { return Below(100) < percent; }
  int Below(int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random_); }
  std::string AnyNode() { return "n" + std::to_string(Below(14)); }

  void Claim() {
    auto starts = job_->TakeStarts(1 + Below(4), clock_.Read());
    if (!starts.empty()) claimed_.push_back(std::move(starts));
  }
  void PublishOne() {
    if (claimed_.empty()) return;
    const auto nodes = claimed_.back();
    claimed_.pop_back();
    const absl::Time expiry = clock_.Read().wall + absl::Seconds(60);
    if (Chance(10)) {
      job_->OnUnpublishable(nodes, "no key", clock_.Read());
      return;
    }
    for (const std::string& node : job_->OnPublishing(nodes, expiry, clock_.Read())) {
      EXPECT_TRUE(expiries_.emplace(node, expiry).second) << node << " is published twice";
    }
  }
  void Say() {
    Reply reply;
    reply.set_node(AnyNode());
    if (setup_.mutating && !expiries_.contains(reply.node()) && Chance(90)) return;
    reply.set_sequence(Below(5));
    switch (Below(5)) {
      case 0:
        reply.mutable_accepted();
        break;
      case 1:
        reply.mutable_progress()->mutable_puppet_run();
        break;
      case 2:
        reply.mutable_unknown_request();
        break;
      default:
        reply.mutable_outcome()->set_state(static_cast<NodeState>(Below(14)));
    }
    job_->Apply(reply, clock_.Read());
  }
  void Restore() {
    // What was claimed and not published was not stored either.
    std::vector<RestoredNode> nodes;
    for (const auto& [position, row] : rows_) {
      RestoredNode node{.node = row.node,
                        .state = row.state,
                        .send_time = row.send_time,
                        .deadline = row.deadline};
      auto expiry = expiries_.find(row.node);
      if (expiry != expiries_.end()) node.batch_expiry = expiry->second;
      nodes.push_back(node);
    }
    if (job_->ended()) return;
    claimed_.clear();
    job_ = Job::Restore(setup_, job_->Snapshot(false), job_->cancelled(), nodes, clock_.Read());
  }

  void Check() {
    Job::Changes changes = job_->TakeChanges(clock_.Read());
    for (NodeChange& row : changes.nodes) rows_[row.position] = row;
    for (const auto& event : changes.events) {
      EXPECT_EQ(event->sequence(), ++sequence_) << "gap";
      EXPECT_FALSE(finished_) << "event after the end";
      finished_ = event->has_finished();
      if (!event->has_node()) continue;
      NodeState& last = heard_[event->node().node()];
      EXPECT_FALSE(IsTerminal(last)) << event->node().node() << " ended twice";
      EXPECT_GT(event->node().state(), last) << "states only go forward";
      last = event->node().state();
    }
    const orch::v1::Job snapshot = job_->Snapshot(false);
    uint32_t sum = 0, over = 0;
    for (const auto& count : snapshot.counts()) {
      sum += count.count();
      if (IsTerminal(count.state())) over += count.count();
    }
    EXPECT_EQ(sum, snapshot.targets()) << "the counts sum to the targets";
    EXPECT_EQ(rows_.size(), snapshot.targets());
    for (const auto& [position, row] : rows_) {
      EXPECT_EQ(job_->nodes().StateOf(row.node), row.state);
      if (heard_.contains(row.node)) {
        EXPECT_EQ(heard_[row.node], row.state) << row.node;
      }
    }
    EXPECT_EQ(job_->ended(), finished_);
    if (job_->ended()) {
      EXPECT_EQ(over, sum) << "an ended job has ended nodes only";
    }
    if (!job_->ended() && job_->state() != orch::v1::JOB_STATE_PAUSED && claimed_.empty() &&
        job_->waiting() == 0) {
      EXPECT_TRUE(job_->NextDeadline().has_value()) << "nothing would ever end it";
    }
  }

  std::mt19937 random_;
  base::FakeClock clock_;
  JobSetup setup_;
  std::unique_ptr<Job> job_;
  std::vector<std::vector<std::string>> claimed_;
  std::map<std::string, absl::Time> expiries_;
  std::map<uint32_t, NodeChange> rows_;
  std::map<std::string, NodeState> heard_;
  uint64_t sequence_ = 0;
  bool finished_ = false;
};

TEST(JobModel, HoldsUnderRandomInputs) {
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE(seed);
    Model model(seed);
    const int steps = seed % 200;
    for (int i = 0; i < steps; ++i) model.Step();
    model.RunOut();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace orch::controller
