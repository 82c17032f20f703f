// SPDX-License-Identifier: Apache-2.0
#include "controller/job/states.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>
#include <vector>

namespace orch::controller {
namespace {

using orch::v1::JobState;
using orch::v1::NodeState;

// Every value that the API has, and one that a later one might add.
template <typename State>
std::vector<State> All(int count) {
  std::vector<State> all;
  for (int i = 0; i <= count; ++i) all.push_back(static_cast<State>(i));
  return all;
}
const auto kNodeStates = All<NodeState>(orch::v1::NodeState_ARRAYSIZE);
const auto kJobStates = All<JobState>(orch::v1::JobState_ARRAYSIZE);

TEST(States, OnlyTheseAreOutcomes) {
  const std::set<NodeState> outcomes = {
      orch::v1::NODE_STATE_SUCCEEDED, orch::v1::NODE_STATE_FAILED,
      orch::v1::NODE_STATE_REFUSED,   orch::v1::NODE_STATE_DENIED,
      orch::v1::NODE_STATE_TIMED_OUT, orch::v1::NODE_STATE_NO_RESPONSE,
      orch::v1::NODE_STATE_LOST,      orch::v1::NODE_STATE_CANCELLED,
      orch::v1::NODE_STATE_SKIPPED,   orch::v1::NODE_STATE_EXPIRED};
  const std::set<NodeState> said_by_the_controller = {
      orch::v1::NODE_STATE_NO_RESPONSE, orch::v1::NODE_STATE_SKIPPED, orch::v1::NODE_STATE_EXPIRED};
  for (NodeState state : kNodeStates) {
    EXPECT_EQ(IsTerminal(state), outcomes.contains(state)) << state;
    EXPECT_EQ(IsSaidByNodes(state),
              outcomes.contains(state) && !said_by_the_controller.contains(state))
        << state;
  }
}

TEST(States, OnlyTheseAreEnds) {
  const std::set<JobState> ends = {orch::v1::JOB_STATE_SUCCEEDED, orch::v1::JOB_STATE_FAILED,
                                   orch::v1::JOB_STATE_STOPPED, orch::v1::JOB_STATE_CANCELLED};
  for (JobState state : kJobStates) EXPECT_EQ(IsEnd(state), ends.contains(state)) << state;
}

TEST(States, EveryPairOfAJob) {
  using orch::v1::JOB_STATE_CANCELLED;
  using orch::v1::JOB_STATE_FAILED;
  using orch::v1::JOB_STATE_PAUSED;
  using orch::v1::JOB_STATE_PENDING_APPROVAL;
  using orch::v1::JOB_STATE_RUNNING;
  using orch::v1::JOB_STATE_STOPPED;
  using orch::v1::JOB_STATE_STOPPING;
  using orch::v1::JOB_STATE_SUCCEEDED;
  const std::set<std::pair<JobState, JobState>> legal = {
      {JOB_STATE_PENDING_APPROVAL, JOB_STATE_RUNNING},
      {JOB_STATE_PENDING_APPROVAL, JOB_STATE_CANCELLED},
      {JOB_STATE_RUNNING, JOB_STATE_PAUSED},
      {JOB_STATE_RUNNING, JOB_STATE_STOPPING},
      {JOB_STATE_RUNNING, JOB_STATE_SUCCEEDED},
      {JOB_STATE_RUNNING, JOB_STATE_FAILED},
      {JOB_STATE_PAUSED, JOB_STATE_RUNNING},
      {JOB_STATE_PAUSED, JOB_STATE_STOPPING},
      {JOB_STATE_PAUSED, JOB_STATE_SUCCEEDED},
      {JOB_STATE_PAUSED, JOB_STATE_FAILED},
      {JOB_STATE_STOPPING, JOB_STATE_STOPPED},
      {JOB_STATE_STOPPING, JOB_STATE_CANCELLED}};
  for (JobState from : kJobStates) {
    for (JobState to : kJobStates) {
      EXPECT_EQ(MayFollow(from, to), legal.contains({from, to})) << from << " to " << to;
    }
  }
}

TEST(States, EveryPairOfANode) {
  const std::vector<NodeState> way = {orch::v1::NODE_STATE_PENDING, orch::v1::NODE_STATE_SENT,
                                      orch::v1::NODE_STATE_ACCEPTED, orch::v1::NODE_STATE_WAITING,
                                      orch::v1::NODE_STATE_RUNNING};
  std::set<std::pair<NodeState, NodeState>> legal;
  for (size_t from = 0; from < way.size(); ++from) {
    for (size_t to = from + 1; to < way.size(); ++to) legal.emplace(way[from], way[to]);
    for (NodeState outcome : kNodeStates) {
      if (IsTerminal(outcome)) legal.emplace(way[from], outcome);
    }
  }
  EXPECT_EQ(legal.size(), 60u);
  for (NodeState from : kNodeStates) {
    for (NodeState to : kNodeStates) {
      EXPECT_EQ(MayFollow(from, to), legal.contains({from, to})) << from << " to " << to;
    }
  }
}

}  // namespace
}  // namespace orch::controller
