// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/connection.h"

// How people name jobs.

namespace orch::cli {

// The name `jobs/<ULID>` of the job that is given as that name, as the ULID, as a unique beginning
// of it of at least four characters (upper or lower case), or as `last`, the caller's newest job.
// Asks the controller only for the last two. InvalidArgument: it is none of these, or several jobs
// begin so, which are named. NotFound with a reason: there is no such job.
absl::StatusOr<std::string> ResolveJob(Connection& connection, absl::string_view given);

}  // namespace orch::cli
