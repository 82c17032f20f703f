// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "nodeagent/process/process.h"

// What the agent and the wrapper of a Puppet run tell each other, through files in the run's own
// directory, so that either may be killed at any moment and the other still knows where it stands:
//
//  - `spec`: what to run. The agent writes it before it starts a wrapper.
//  - `claim`: who decides about this run. It is made once, by link(2): by the wrapper before it
//    starts anything, or by the agent where it wants to be sure that nothing will ever start.
//    Whoever comes second does nothing (docs/adr/0004).
//  - `puppet`: Puppet's pid and start time; on disk before Puppet is let go.
//  - `output`: Puppet's standard output and error.
//  - `log.jsonl`: Puppet's log, written by Puppet while it works.
//  - `exit`: how Puppet ended, written by the wrapper.
//  - `report.yaml`, `summary.yaml`: Puppet's own files as they were when this run had ended.
//  - `outcome`: the agent's last word, a serialised orch.bus.v1.Outcome.
//
// Every file but `output` and `log.jsonl` appears whole or not at all, and is synced to disk before
// the call that writes it returns. Calls block. Thread-safe.

namespace orch::nodeagent {

// What the wrapper is to do. Constant once it is written.
struct RunSpec {
  std::vector<std::string> argv;
  std::vector<std::string> environment;
  // Path of Puppet's disabled lock. If it exists, the wrapper refuses to start Puppet.
  std::string disabled_lock;
  // Path of the run lock, which the wrapper takes for Puppet, with Puppet's pid. Empty: Puppet
  // takes it itself, as `puppet agent` does.
  std::string run_lock;
  // Paths of last_run_report.yaml and last_run_summary.yaml, which are kept in the directory when
  // the run has ended.
  std::string report;
  std::string summary;
  // After this time Puppet and its descendants are ended; infinite: never.
  absl::Duration kill_after = absl::InfiniteDuration();
  // For the agent alone, which judges the run: the report (its transaction_uuid) and the summary
  // that were there before, when the run was asked for, and how long it may take.
  std::string previous_uuid;
  std::string previous_summary;  // its SHA-256 in hex; empty if there was none
  // The Puppet environment whose catalog is to be applied; empty: any.
  std::string environment_asked;
  absl::Time create_time;
  absl::Duration timeout = absl::InfiniteDuration();
};

// Who decides about the run.
struct RunClaim {
  bool by_wrapper = false;  // else by the agent: it never started and never will
  ProcessId claimer;
};

// The process that is, or becomes, Puppet.
struct RunPuppet {
  ProcessId process;
  absl::Time start_time;
};

// How the run ended, as the wrapper saw it.
struct RunExit {
  // Why Puppet was not started (`message` says more): `disabled`, `already_running` or
  // `start_failed`. Empty: it was started.
  std::string refused;
  std::string message;
  int exit_code = -1;  // -1: Puppet was ended by `signal`, or how it ended is not known
  int signal = 0;
  bool killed = false;  // the wrapper ended Puppet, because kill_after had passed
  absl::Time end_time;
};

// The directory of one run.
class RunDirectory {
 public:
  explicit RunDirectory(std::string path) : path_(std::move(path)) {}
  const std::string& path() const { return path_; }
  std::string output() const { return path_ + "/output"; }
  std::string log() const { return path_ + "/log.jsonl"; }
  std::string report() const { return path_ + "/report.yaml"; }
  std::string summary() const { return path_ + "/summary.yaml"; }

  // Makes the directory and writes the spec. AlreadyExists if the run was prepared before.
  absl::Status Prepare(const RunSpec& spec) const;
  // NotFound: the run was never prepared. DataLoss: the spec can't be read, or is of another
  // version.
  absl::StatusOr<RunSpec> ReadSpec() const;

  // Claims the run for this process. True: the claim is ours, durably. False: it was claimed
  // before.
  absl::StatusOr<bool> Claim(bool by_wrapper) const;
  // Reads the claim. Nullopt: there is none yet. DataLoss: it can't be read. So do ReadPuppet and
  // ReadExit.
  absl::StatusOr<std::optional<RunClaim>> ReadClaim() const;

  absl::Status WritePuppet(const RunPuppet& puppet) const;
  absl::StatusOr<std::optional<RunPuppet>> ReadPuppet() const;
  absl::Status WriteExit(const RunExit& exit) const;
  absl::StatusOr<std::optional<RunExit>> ReadExit() const;
  // Writes the outcome, unless there is one: the first stays.
  absl::Status WriteOutcome(const std::string& outcome) const;
  // Reads the outcome. Nullopt: there is none yet, or it can't be read.
  std::optional<std::string> ReadOutcome() const;

  // Keeps one of Puppet's files in the directory under `name`, as it is now, by a hard link where
  // that is possible: Puppet replaces its files and never writes into them. Best effort.
  void Keep(const std::string& file, const std::string& name) const;

 private:
  const std::string path_;
};

// Removes the directories below `runs` whose outcome was written before `before`. Best effort.
void RemoveOldRuns(const std::string& runs, absl::Time before);

}  // namespace orch::nodeagent
