// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/states.h"
#include "orch/v1/job.pb.h"

// Where a job and a node in it may be, and where they may go from there: one table of legal pairs
// for each, which Job and NodeTable assert on every change. Pure.
//
// Nothing here compares the numbers of states: a state that is added to the API is no end, is not
// heard of and may follow nothing until somebody has decided so here, which the compiler demands.

namespace orch::controller {

using api::IsEnd;
using api::IsTerminal;
// Whether the node has said itself that it has the request and is at it.
bool IsUnderWay(orch::v1::NodeState state);
// Whether a node may say of itself that it ended so. NO_RESPONSE is the controller's to say.
bool IsSaidByNodes(orch::v1::NodeState state);

// Whether a node that is in `from` may be in `to` next.
bool MayFollow(orch::v1::NodeState from, orch::v1::NodeState to);
// Whether a job that is in `from` may be in `to` next.
bool MayFollow(orch::v1::JobState from, orch::v1::JobState to);

}  // namespace orch::controller
