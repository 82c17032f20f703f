// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace orch::cli {

// The script for `bash`, `zsh` or `fish`; it asks `orchctl __complete WORDS…`, so that it never
// grows old.
std::string CompletionScript(const std::string& shell);
// What may stand where the last of `words` begins; read from the command tree itself. Pure.
std::vector<std::string> Complete(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace orch::cli
