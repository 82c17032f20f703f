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

// `orch-nodeagent facts`: the merged facts as the agent has them, from its state_dir, or `fresh`
// ones; JSON on stdout, or with `source` a line for each. Works without an agent. The exit code: 0,
// 1 if a source fails (named on stderr; the rest is printed) or there is no such fact or none are
// kept.
int ShowFacts(const NodeAgentConfig& config, const FactsCommand& command);

}  // namespace orch::nodeagent
