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
//  starts
//    anything, or by the agent where it wants to be sure that nothing will ever start. Whoever
//    comes second does nothing (docs/adr/0004).
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

// What the wrapper is to do.
struct RunSpec {
  std::vector<std::string> argv;
  std::vector<std::string> environment;
  std::string disabled_lock;  // refuse if it exists
  std::string
      run_lock;  // taken for Puppet, by Puppet's pid; empty: Puppet does it itself (agent mode)
  std::string report;  // last_run_report.yaml and last_run_summary.yaml: kept for this run when it
                       // has ended
  std::string summary;
  absl::Duration kill_after = absl::InfiniteDuration();  // end Puppet then
  // For the agent alone: the report and summary that were there before, when the run was asked for,
  // how long it may take.
  std::string previous_uuid;
  std::string previous_summary;  // its SHA-256 in hex; empty if there was none
  // The Puppet environment whose catalog is to be applied; empty: any.
  std::string environment_asked;
  absl::Time create_time;
  absl::Duration timeout = absl::InfiniteDuration();
};

struct RunClaim {
  bool by_wrapper = false;  // else by the agent: it never started and never will
  ProcessId claimer;
};

struct RunPuppet {
  ProcessId process;
  absl::Time start_time;
};

struct RunExit {
  // Not started: `disabled`, `already_running` or `start_failed`, and `message`. Empty: it ran.
  std::string refused;
  std::string message;
  int exit_code = -1;  // -1: ended by `signal`
  int signal = 0;
  bool killed = false;  // by us, because kill_after had passed
  absl::Time end_time;
};

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
  // NotFound; DataLoss.
  absl::StatusOr<RunSpec> ReadSpec() const;

  // True if the claim is ours now, durably; false if somebody was faster.
  absl::StatusOr<bool> Claim(bool by_wrapper) const;
  // Nullopt while there is none. DataLoss if one can't be read.
  absl::StatusOr<std::optional<RunClaim>> ReadClaim() const;

  absl::Status WritePuppet(const RunPuppet& puppet) const;
  absl::StatusOr<std::optional<RunPuppet>> ReadPuppet() const;
  absl::Status WriteExit(const RunExit& exit) const;
  absl::StatusOr<std::optional<RunExit>> ReadExit() const;
  // The first one stays.
  absl::Status WriteOutcome(const std::string& outcome) const;
  // Nullopt while there is none.
  std::optional<std::string> ReadOutcome() const;

  // Keeps a file of Puppet's under `name`, as it is now: Puppet replaces its files, never writes
  // into them.
  void Keep(const std::string& file, const std::string& name) const;

 private:
  const std::string path_;
};

// Removes runs below `runs` whose outcome was written before `before`. Best effort.
void RemoveOldRuns(const std::string& runs, absl::Time before);

}  // namespace orch::nodeagent
