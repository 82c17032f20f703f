// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/connection.h"

// How people name jobs.

namespace orch::cli {

// The help of an argument that names a job.
inline constexpr char kJobHelp[] =
    "its id, 4 or more characters that only it begins with, last (my newest that changes nodes), "
    "or - (read from "
    "standard input)";

// The name `jobs/<ULID>` of the job that is given as that name, as the ULID, as a unique beginning
// of it of at least four characters (upper or lower case), or as `last`, the caller's newest job
// that may change nodes, or else the newest of all.
// `-` reads it from standard input. Asks the
// controller only for a beginning and `last`. InvalidArgument: it is none of these, or several jobs
// begin so, which are named. NotFound with a reason: there is no such job.
absl::StatusOr<std::string> ResolveJob(Connection& connection, absl::string_view given);

}  // namespace orch::cli
