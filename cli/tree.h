// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include "cli/options.h"

namespace orch::cli {

// The whole command tree with the flags that are everywhere. Help, completion and the manual page
// are made from it.
void AddCommands(CLI::App& app, Session& session);

}  // namespace orch::cli
