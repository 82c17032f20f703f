// SPDX-License-Identifier: Apache-2.0
#include "controller/job/states.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace orch::controller {
namespace {

using orch::v1::JobState;
using orch::v1::NodeState;

// A job's way. A paused job whose last node answers ends as a running one does; a job that is
// stopping can't go on.
constexpr std::pair<JobState, JobState> kJobMoves[] = {
    {orch::v1::JOB_STATE_PENDING_APPROVAL, orch::v1::JOB_STATE_RUNNING},
    {orch::v1::JOB_STATE_PENDING_APPROVAL, orch::v1::JOB_STATE_CANCELLED},
    {orch::v1::JOB_STATE_RUNNING, orch::v1::JOB_STATE_PAUSED},
    {orch::v1::JOB_STATE_RUNNING, orch::v1::JOB_STATE_STOPPING},
    {orch::v1::JOB_STATE_RUNNING, orch::v1::JOB_STATE_SUCCEEDED},
    {orch::v1::JOB_STATE_RUNNING, orch::v1::JOB_STATE_FAILED},
    {orch::v1::JOB_STATE_PAUSED, orch::v1::JOB_STATE_RUNNING},
    {orch::v1::JOB_STATE_PAUSED, orch::v1::JOB_STATE_STOPPING},
    {orch::v1::JOB_STATE_PAUSED, orch::v1::JOB_STATE_SUCCEEDED},
    {orch::v1::JOB_STATE_PAUSED, orch::v1::JOB_STATE_FAILED},
    {orch::v1::JOB_STATE_STOPPING, orch::v1::JOB_STATE_STOPPED},
    {orch::v1::JOB_STATE_STOPPING, orch::v1::JOB_STATE_CANCELLED},
};

// How far along a node without an outcome is. It only goes forward, and may skip: an acceptance
// that got lost, a receipt that an answer overtook.
int Progress(NodeState state) {
  switch (state) {
    case orch::v1::NODE_STATE_PENDING:
      return 1;
    case orch::v1::NODE_STATE_SENT:
      return 2;
    case orch::v1::NODE_STATE_ACCEPTED:
      return 3;
    case orch::v1::NODE_STATE_WAITING:
      return 4;
    case orch::v1::NODE_STATE_RUNNING:
      return 5;
    case orch::v1::NODE_STATE_SUCCEEDED:
    case orch::v1::NODE_STATE_FAILED:
    case orch::v1::NODE_STATE_REFUSED:
    case orch::v1::NODE_STATE_DENIED:
    case orch::v1::NODE_STATE_TIMED_OUT:
    case orch::v1::NODE_STATE_NO_RESPONSE:
    case orch::v1::NODE_STATE_LOST:
    case orch::v1::NODE_STATE_CANCELLED:
    case orch::v1::NODE_STATE_SKIPPED:
    case orch::v1::NODE_STATE_EXPIRED:
    case orch::v1::NODE_STATE_UNSPECIFIED:
    case orch::v1::NodeState_INT_MIN_SENTINEL_DO_NOT_USE_:
    case orch::v1::NodeState_INT_MAX_SENTINEL_DO_NOT_USE_:
      return 0;
  }
  return 0;
}

}  // namespace

bool IsUnderWay(NodeState state) {
  return state == orch::v1::NODE_STATE_ACCEPTED || state == orch::v1::NODE_STATE_WAITING ||
         state == orch::v1::NODE_STATE_RUNNING;
}

bool IsSaidByNodes(NodeState state) {
  return IsTerminal(state) && state != orch::v1::NODE_STATE_NO_RESPONSE &&
         state != orch::v1::NODE_STATE_SKIPPED && state != orch::v1::NODE_STATE_EXPIRED;
}

bool MayFollow(NodeState from, NodeState to) {
  if (Progress(from) == 0) return false;
  return IsTerminal(to) || Progress(to) > Progress(from);
}

bool MayFollow(JobState from, JobState to) {
  return std::find(std::begin(kJobMoves), std::end(kJobMoves), std::pair(from, to)) !=
         std::end(kJobMoves);
}

}  // namespace orch::controller
