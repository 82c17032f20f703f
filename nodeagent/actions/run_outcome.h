// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "nodeagent/actions/run_log.h"
#include "nodeagent/puppet/puppet_report.h"
#include "nodeagent/puppet/puppet_summary.h"
#include "nodeagent/wrapper/run_directory.h"
#include "orch/bus/v1/reply.pb.h"

namespace orch::nodeagent {

// What an ended run has left behind, from which its outcome is judged.
struct RunEvidence {
  std::string previous_uuid;        // of the report that was there before
  std::string previous_summary;     // digest of the summary that was
  std::string environment_asked;    // empty: any will do
  std::optional<RunPuppet> puppet;  // nullopt: somebody else's run, which was joined
  std::optional<RunExit> exit;      // nullopt: the wrapper was killed, so nobody knows
  bool earlier_boot = false;        // the machine was booted since Puppet started
  absl::StatusOr<PuppetReport> report = absl::NotFoundError("no report");
  absl::StatusOr<PuppetSummary> summary = absl::NotFoundError("no summary");
  RunLogSummary log;
  std::string output_tail;  // the last lines of Puppet's standard output and error
};

// Collects the evidence of a run of ours from its directory and from Puppet's files. Blocks for as
// long as reading a report takes.
RunEvidence GatherEvidence(const RunDirectory& directory, const RunSpec& spec);
// The same of a run that is not ours, whose lock was taken at `since`: its report was written after
// that.
RunEvidence GatherJoined(const std::string& report, absl::Time since,
                         const std::string& environment_asked);

// Whether the report is of this very run: it differs from the one before, is not older than the
// run's start, and has times of the run's own log. Puppet's files are shared with its daemon and
// with whoever runs Puppet by hand, so none of these can be taken for granted. Pure.
bool IsReportOfRun(const RunEvidence& evidence);

// What it came to. A success only if all of it says so: the report, and how Puppet ended after it
// had written it. Pure.
orch::bus::v1::Outcome JudgeRun(const RunEvidence& evidence);

// FAILED `environment_mismatch` if the run converged another environment than `asked`, whatever it
// came to; else `outcome`. Pure.
orch::bus::v1::Outcome JudgeEnvironment(const std::string& asked, orch::bus::v1::Outcome outcome);

}  // namespace orch::nodeagent
