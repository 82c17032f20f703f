// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "cli/completion_names.h"

namespace orch::cli {

// The option that a word such as `-o` or `--output` names, on a command or above it; or null.
const CLI::Option* FindOption(const std::vector<const CLI::App*>& path, const std::string& word);
// The script for `bash`, `zsh` or `fish`; it asks `orchctl __complete WORDS…`, so that it never
// grows old.
std::string CompletionScript(const std::string& shell);
// What may stand in place of the last of `words`, which may be the beginning of a word: commands,
// flags, the values that a flag or an argument is limited to, actions and their arguments, columns
// to sort by, all read from the command tree; and what `names` (may be null) knows: nodes, facts
// and their values, classes, jobs, contexts, reasons. Sorted. Asks nobody but `names`.
std::vector<Candidate> Complete(
    const CLI::App& app, const std::map<const CLI::App*, std::vector<std::string>>& sort_keys,
    const std::vector<std::string>& words, NameSource* names);

}  // namespace orch::cli
