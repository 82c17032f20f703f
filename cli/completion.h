// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

namespace orch::cli {

// The script for `bash`, `zsh` or `fish`; it asks `orchctl __complete WORDS…`, so that it never
// grows old.
std::string CompletionScript(const std::string& shell);
// What may stand where the last of `words` begins: commands, flags, values that a flag or an
// argument is limited to, actions, columns to sort by. Read from the command tree itself. Pure.
std::vector<std::string> Complete(
    const CLI::App& app, const std::map<const CLI::App*, std::vector<std::string>>& sort_keys,
    const std::vector<std::string>& words);

}  // namespace orch::cli
