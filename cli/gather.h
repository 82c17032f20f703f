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
// differently.
absl::StatusOr<Tally> Gather(Session& session, Connection& connection, orch::v1::JobSpec spec);

// Gathers what `action_name` with `words` answers and lets `show` print it, or prints the report as
// the API has it. Names on standard error who gave no result. Returns the exit code.
int ReadOnlyJob(Session& session, const JobRequestFlags& flags, const std::string& action_name,
                const std::vector<std::string>& words,
                const std::function<void(const Tally&)>& show);

}  // namespace orch::cli
