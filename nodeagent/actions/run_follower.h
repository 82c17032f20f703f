// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/strand.h"
#include "base/timer.h"
#include "base/worker.h"
#include "nodeagent/actions/run_log.h"
#include "nodeagent/process/command.h"
#include "nodeagent/process/process_watch.h"
#include "nodeagent/wrapper/run_directory.h"
#include "orch/bus/v1/reply.pb.h"

namespace orch::nodeagent {

// How long a wrapper may take to claim its run; after that the agent claims it, and it never
// starts.
inline constexpr absl::Duration kClaimTimeout = absl::Seconds(30);
// How often a run that is under way is looked at.
inline constexpr absl::Duration kFollowInterval = absl::Milliseconds(250);
// Where the wrapper is gone and the agent ends Puppet: the time between SIGTERM and SIGKILL. Where
// a wrapper lives, three times this is how long it may take to end Puppet itself.
inline constexpr absl::Duration kFollowKillGrace = absl::Seconds(30);
// How long a run's directory is kept after its outcome was written, in case the agent is killed
// before the outcome is in the journal.
inline constexpr absl::Duration kRunDirectoryKept = absl::Hours(25);

struct FollowerParts {
  base::Strand strand;
  base::Worker* worker = nullptr;
  const base::Clock* clock = nullptr;
  std::vector<std::string> wrapper;  // argv; the run's directory is appended
  // The path of systemd-run. Empty: the wrapper gets a session of its own in place of a transient
  // unit.
  std::string systemd_run;
  // Lines of Puppet's log of this LogLevelRank and above travel as progress.
  int least_rank = 2;
};

// Follows one run from its directory on disk to its outcome, whoever of agent, wrapper and Puppet
// is killed meanwhile:
//
//   launched ─▶ claimed by the wrapper ─▶ wrapper ended ─▶ exit record? judge.
//                                                        └▶ none: Puppet alive? watch it, then
//                                                        judge by its report
//   not claimed, or claimed by the agent: never started, and never will.
//
// Lives on: its strand.
class RunFollower : public std::enable_shared_from_this<RunFollower> {
 public:
  // `done` is called once, on the strand; `progress` before that.
  RunFollower(FollowerParts parts, RunDirectory directory, RunSpec spec,
              std::function<void(orch::v1::ActionProgress)> progress,
              std::function<void(orch::bus::v1::Outcome)> done);

  // Starts a wrapper for a run whose spec was just written.
  void Launch();
  // Takes up a run after a restart of the agent: claims it if no wrapper has, so that it never
  // starts, and otherwise goes on following it.
  void Attach();
  // Claims the run, so that it never starts, and ends it as CANCELLED. False: a wrapper has claimed
  // it, and the run goes on.
  bool Cancel();
  // Stops following. Neither `done` nor `progress` is called any more; the run itself goes on.
  void Stop();
  const RunDirectory& directory() const { return directory_; }

 private:
  void StartWrapper();
  void Arm();
  void Tick();
  void Look();
  void LookAtClaim();
  void LookAtWrapper();
  void LookAtPuppet(const RunPuppet& puppet);
  void PastDeadline();
  void EndPuppet(const ProcessId& puppet);
  void PassProgress();
  void NeverStarted();
  void Judge();
  void Finish(orch::bus::v1::Outcome outcome);
  void Watch(const ProcessId& process);

  const FollowerParts parts_;
  const RunDirectory directory_;
  const RunSpec spec_;
  const std::function<void(orch::v1::ActionProgress)> progress_;
  std::function<void(orch::bus::v1::Outcome)> done_;
  base::Timer timer_;
  RunLog log_;
  std::shared_ptr<Command> launcher_;                   // systemd-run, while it works
  absl::Duration launched_;                             // steady
  absl::Duration deadline_ = absl::InfiniteDuration();  // steady
  std::optional<RunClaim> claim_;
  std::shared_ptr<ProcessWatch> watch_;
  pid_t watched_ = 0;
  bool attached_ = false;
  bool judging_ = false;
  // Set while this follower ends Puppet, and since when (steady).
  std::optional<ProcessTree> ending_;
  absl::Duration ending_since_;
};

}  // namespace orch::nodeagent
