// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/connection.h"
#include "cli/naming_flags.h"
#include "cli/options.h"
#include "cli/target_flags.h"
#include "orch/v1/job.pb.h"

// Runs a job, or joins one, and follows it to its end: live lines, progress, joining again after a
// lost connection, ^C, and the exit code.

namespace orch::cli {

// The flags that all commands share that run a job.
struct JobRequestFlags {
  TargetFlags target;
  NamingFlags naming;
  RolloutFlags rollout;
  bool all = false, require_all = false, detach = false;
  std::vector<std::string> labels;
  std::string on_behalf_of;
  void AddTo(CLI::App* command, bool mutating);
};

// Fills the spec from flags and global options. What changes nodes must say which: where it does
// not, and --all is not there, somebody at the terminal is asked. InvalidArgument names the flag.
absl::StatusOr<orch::v1::JobSpec> BuildSpec(const Session& session, const JobRequestFlags& flags,
                                            orch::v1::Action action);

// Has the controller take the job, and follows it, or with `detach` only names it. Prints
// everything and returns the exit code.
int RunAndFollow(Session& session, Connection& connection, orch::v1::JobSpec spec,
                 bool detach = false);
// Follows an existing job from its start. Prints everything and returns the exit code.
int WatchAndFollow(Session& session, Connection& connection, const std::string& job_name);

// Opens the connection that flags, environment and file say.
absl::StatusOr<std::unique_ptr<Connection>> Connect(const Session& session);

}  // namespace orch::cli
