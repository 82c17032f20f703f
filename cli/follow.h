// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/connection.h"
#include "cli/naming_flags.h"
#include "cli/options.h"
#include "cli/target_flags.h"
#include "orch/v1/job.pb.h"

// Running a job and following it to its end: live lines, progress, joining again after a lost
// connection, ^C, exit code.

namespace orch::cli {

// What each command that runs a job shares.
struct JobRequestFlags {
  TargetFlags target;
  NamingFlags naming;
  RolloutFlags rollout;
  void AddTo(CLI::App* command, bool mutating);
};

// Fills the spec from flags and global options. InvalidArgument names the flag.
absl::StatusOr<orch::v1::JobSpec> BuildSpec(const Session& session, const JobRequestFlags& flags,
                                            orch::v1::Action action);

// Takes the job and follows it. Returns the exit code; everything has been printed.
int RunAndFollow(Session& session, Connection& connection, orch::v1::JobSpec spec);
// Follows a job that is there, from its start.
int WatchAndFollow(Session& session, Connection& connection, const std::string& job_name);

// Opens the connection that flags, environment and file say.
absl::StatusOr<std::unique_ptr<Connection>> Connect(const Session& session);

}  // namespace orch::cli
