// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace orch::cli {

// orchctl(1) as troff: every command and flag, read from the command tree itself. Pure.
std::string ManPage(const CLI::App& app, const std::string& version);

}  // namespace orch::cli
