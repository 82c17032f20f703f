// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace orch::cli {

// A command line, and what it is for.
struct Example {
  const char* line;
  const char* about;
};
// Of the command `path`, `puppet run`; empty: none.
std::vector<Example> ExamplesOf(const std::string& path);
// Puts them under the help of each command below `app`, after what is there already.
void AddExamples(CLI::App& app);

}  // namespace orch::cli
