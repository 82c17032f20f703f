// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/strand.h"
#include "base/worker.h"
#include "nodeagent/actions/actions.h"
#include "nodeagent/facts/facts.h"
#include "nodeagent/puppet/puppet_paths.h"

namespace orch::nodeagent {

// What Actions are made of. Everything pointed to outlives them.
struct ActionsParts {
  base::Strand strand;
  // Best not the journal's: a report takes a while to read.
  base::Worker* worker = nullptr;
  const base::Clock* clock = nullptr;
  PuppetPathsFinder* paths = nullptr;
  Facts* facts = nullptr;
  // The runs' directories are made below <state_dir>/runs, mode 0700.
  std::string state_dir;
  // The program that is a run's wrapper (run_wrapper.h) with its first arguments; the run's
  // directory is appended. main: {the agent's own path, "run-wrapper"}.
  std::vector<std::string> wrapper;
  // When the agent started, for node.ping.
  absl::Time start_time;
};

std::unique_ptr<Actions> NewActions(ActionsParts parts);

// The absolute path of the agent's own program. It names the new file after an upgrade has replaced
// the old one.
std::string OwnProgram();

}  // namespace orch::nodeagent
