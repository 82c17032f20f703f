// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "orch/v1/job.pb.h"

// Which states end a node or a job. Nothing compares the numbers of states: the compiler demands
// that whoever adds one decides here. Pure.

namespace orch::api {

// Whether the state is an outcome: exactly one of these ends each node, and nothing follows it.
bool IsTerminal(orch::v1::NodeState state);
// Whether the job has ended, for whatever reason.
bool IsEnd(orch::v1::JobState state);

}  // namespace orch::api
