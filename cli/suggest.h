// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace orch::cli {

// What to say of a command line that CLI11 refused with `refusal`: the first word that was not
// understood and what may have been meant, and whose help says more. Pure.
std::string Misunderstood(const CLI::App& app, const std::vector<std::string>& words,
                          const std::string& refusal);

// The text of `--help` of the command that the words name, none being the root. InvalidArgument: as
// Misunderstood.
absl::StatusOr<std::string> HelpOf(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace orch::cli
