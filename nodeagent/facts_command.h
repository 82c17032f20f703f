// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "nodeagent/config.h"

namespace orch::nodeagent {

struct FactsCommand {
  std::string path;     // one fact, by its dotted path; empty: all
  bool source = false;  // say where each top-level fact is from
  bool fresh = false;   // read all sources now, on our own
  bool json = false;
};

// `orch-nodeagent facts`: prints the merged facts that the agent has kept in its state_dir or, with
// `fresh`, reads all sources itself. Facts are JSON on stdout or, with `source`, a line for each
// with its source. Works without a running agent. The exit code: 0, or 1 if a source fails (it is
// named on stderr, and the rest is printed), if there is no such fact, or if no facts are kept.
int ShowFacts(const NodeAgentConfig& config, const FactsCommand& command);

}  // namespace orch::nodeagent
