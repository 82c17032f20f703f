// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/connection.h"
#include "cli/follow.h"
#include "cli/options.h"
#include "cli/tally.h"

namespace orch::cli {

// Runs a read-only job to its end without printing its nodes, for commands that show the whole
// differently. `on_ended` is given each node as it ends; what it takes out of the node is not kept
// in the tally.
absl::StatusOr<Tally> Gather(Session& session, Connection& connection, orch::v1::JobSpec spec,
                             const std::function<void(orch::v1::JobNode*)>& on_ended = nullptr);

// Gathers what the nodes answer to a read-only action and lets `show` print it, unless the output
// is the API's own: json and yaml the JobReport, jsonl a JobNode a line as they end, name the nodes
// that succeeded. Nodes that gave no result are named on standard error. Returns the exit code.
// Where `show` prints, `take` is given each node as it ends, as in Gather.
int ReadOnlyJob(Session& session, const JobRequestFlags& flags, orch::v1::Action action,
                const std::function<void(const Tally&)>& show,
                const std::function<void(orch::v1::JobNode*)>& take = nullptr);
// Names the nodes that gave no result on standard error, or says there that no node matched.
void NameTheRest(const Session& session, Connection& connection, const Tally& tally);

}  // namespace orch::cli
