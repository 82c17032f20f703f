// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/strand.h"

namespace orch::nodeagent {

// A short program that is run for its output: facter, `puppet config print`, systemd-run.
struct CommandSpec {
  std::vector<std::string> argv;  // argv[0] is an absolute path; no shell, a constant environment
  absl::Duration timeout = absl::Seconds(60);
  size_t output_max = 1 << 20;  // bytes of its standard output
  int also_good_exit = 0;       // an exit code besides 0 that is no failure
};

// A program that is under way. When the last reference to it goes, its process group is killed and
// `done` is not called any more.
class Command;

// Completes when: it has ended, with its standard output; whatever it left in its process group is
// killed then, and nobody waits for others who hold its output open. Errors: NotFound and others
// from starting it, DeadlineExceeded (its group is killed), ResourceExhausted (too much output,
// killed), Unknown (an exit code other than 0; with the last line of its standard error). Runs on:
// `strand`; `done` is never called from within, and not after the returned handle was dropped.
std::shared_ptr<Command> RunCommand(base::Strand strand, CommandSpec spec,
                                    std::function<void(absl::StatusOr<std::string>)> done);

}  // namespace orch::nodeagent
