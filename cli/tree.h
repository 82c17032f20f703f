// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include "absl/status/status.h"
#include "cli/options.h"

namespace orch::cli {

// The whole command tree with the flags that are everywhere. Help, completion and the manual page
// are made from it.
void AddCommands(CLI::App& app, Session& session);

// Whether the command that was parsed takes the flags that it was given. Flags of a job (--dry-run
// before all, which promises that nothing happens) are refused where no job is made: ignored, they
// would be believed. InvalidArgument names both.
absl::Status CheckJobFlags(const CLI::App& app);

}  // namespace orch::cli
