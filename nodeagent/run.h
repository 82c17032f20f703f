// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"
#include "nodeagent/config.h"

namespace orch::nodeagent {

// Wires the node agent together and runs it until SIGTERM or SIGINT. SIGHUP reads certificates,
// CRLs, facts and the node's policy again; the files are also looked at every minute. Puppet runs
// that are under way go on after the return.
//
// Errors, before anything is connected: InvalidArgument for what the configuration names and is not
// as it must be (a certificate, the policy), others for what the machine does not give
// (directories, the journal, a second agent).
absl::Status RunNodeAgent(const NodeAgentConfig& config);

}  // namespace orch::nodeagent
