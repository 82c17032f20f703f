// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace orch::nodeagent {

// The process that stands between the node agent and Puppet, so that a run outlives the agent:
// `orch-nodeagent run-wrapper <directory>`. It claims the run (run_directory.h), starts Puppet in a
// process group of its own, waits for it and leaves how it ended in the directory. To be called
// first thing in main, before anything is set up: it opens no sockets, starts no threads and reads
// no configuration. Returns the exit code: 0 also where somebody else holds the claim; 1 with a
// line on stderr if the directory could not be used.
int RunWrapperMain(const std::string& directory);

}  // namespace orch::nodeagent
