// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"
#include "cli/options.h"

namespace orch::cli {

// The exit code for an error.
ExitCode ExitOf(const absl::Status& status);
// Prints `orchctl: <what>` and what to do about it, if the error's details know; returns ExitOf.
int Fail(const Session& session, const absl::Status& status);

}  // namespace orch::cli
