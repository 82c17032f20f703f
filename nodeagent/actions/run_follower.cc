// SPDX-License-Identifier: Apache-2.0

// Whether Puppet ran is answered by files alone, never by what this process remembers, so that a
// follower that was just made after a restart and one that launched the run itself decide alike.
// The order of looking matters: the exit record is read again after the wrapper was seen dead,
// because it may have written it and ended in between. Nothing is taken for "never started" unless
// the claim is ours, or the claimer is dead and left no record of a Puppet. The outcome is written
// into the directory before anybody hears of it: a restarted agent has to say the same again.

#include "nodeagent/actions/run_follower.h"

#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/config.h"
#include "base/log.h"
#include "nodeagent/actions/outcome.h"
#include "nodeagent/actions/run_outcome.h"
#include "nodeagent/puppet/puppet_lock.h"
#include "nodeagent/text/plain_file.h"

namespace orch::nodeagent {
namespace {

constexpr absl::Duration kSystemdRunTimeout = absl::Seconds(25);
constexpr size_t kPositionFileMax = 64;

std::string PositionFile(const RunDirectory& directory) { return directory.path() + "/position"; }

}  // namespace

RunFollower::RunFollower(FollowerParts parts, RunDirectory directory, RunSpec spec,
                         std::function<void(orch::v1::ActionProgress)> progress,
                         std::function<void(orch::bus::v1::Outcome)> done)
    : parts_(std::move(parts)),
      directory_(std::move(directory)),
      spec_(std::move(spec)),
      progress_(std::move(progress)),
      done_(std::move(done)),
      timer_(parts_.strand, parts_.clock),
      log_(directory_.log(), parts_.least_rank) {}

void RunFollower::Launch() {
  const base::Now now = parts_.clock->Read();
  launched_ = now.steady;
  deadline_ = now.steady + spec_.timeout;
  StartWrapper();
  Arm();
}

void RunFollower::StartWrapper() {
  std::vector<std::string> wrapper = parts_.wrapper;
  wrapper.push_back(directory_.path());
  const auto spawn = [wrapper] {
    const absl::Status spawned = SpawnDetached(wrapper);
    // The claim's timeout ends the run.
    if (!spawned.ok()) base::LogError("a run's wrapper", {{"why", spawned.message()}});
  };
  if (parts_.systemd_run.empty()) return spawn();
  CommandSpec command;
  const std::string name = std::filesystem::path(directory_.path()).filename();
  command.argv = {parts_.systemd_run, "--quiet", "--collect", "--no-ask-password",
                  absl::StrCat("--unit=orch-run-", name),
                  "--description=Puppet run of orch-nodeagent",
                  // Services that Puppet starts the old way are not ended with the unit.
                  "--property=KillMode=process", "--"};
  command.argv.insert(command.argv.end(), wrapper.begin(), wrapper.end());
  command.timeout = kSystemdRunTimeout;
  launcher_ = RunCommand(parts_.strand, std::move(command),
                         [weak = weak_from_this(), spawn](absl::StatusOr<std::string> output) {
                           const auto self = weak.lock();
                           if (self == nullptr || output.ok()) return;
                           base::LogWarning("no transient unit for a run, it gets a session",
                                            {{"why", output.status().message()}});
                           // Should both come up: the claim lets one of them start Puppet.
                           spawn();
                         });
}

void RunFollower::Attach() {
  attached_ = true;
  const base::Now now = parts_.clock->Read();
  launched_ = now.steady;
  const absl::Duration passed = std::max(absl::ZeroDuration(), now.wall - spec_.create_time);
  deadline_ = now.steady + (spec_.timeout - passed);
  const absl::StatusOr<std::string> position =
      ReadPlainFile(PositionFile(directory_), kPositionFileMax);
  if (position.ok()) {
    const std::vector<std::string> parts = absl::StrSplit(*position, ' ');
    RunLog::Position at;
    if (parts.size() == 2 && absl::SimpleAtoi(parts[0], &at.offset) &&
        absl::SimpleAtoi(parts[1], &at.passed)) {
      log_.Resume(at);
    }
  }
  parts_.worker->Post([weak = weak_from_this(), strand = parts_.strand, directory = directory_] {
    const std::optional<std::string> outcome = directory.ReadOutcome();
    // Whoever claims first decides whether Puppet is ever started.
    const absl::StatusOr<bool> mine =
        outcome.has_value() ? absl::StatusOr<bool>(false) : directory.Claim(false);
    base::asio::post(strand, [weak, outcome, mine] {
      const auto self = weak.lock();
      if (self == nullptr || !self->done_) return;
      orch::bus::v1::Outcome said;
      if (outcome.has_value() && said.ParseFromString(*outcome)) return self->Finish(said);
      if (mine.ok() && *mine) return self->NeverStarted();
      self->Tick();
    });
  });
}

bool RunFollower::Cancel() {
  if (claim_.has_value() || judging_ || !done_) return false;
  const absl::StatusOr<bool> mine = directory_.Claim(/*by_wrapper=*/false);
  if (!mine.ok() || !*mine) return false;
  Finish(Ended(orch::v1::NODE_STATE_CANCELLED, "cancelled", "cancelled before Puppet was started"));
  return true;
}

void RunFollower::Stop() {
  done_ = nullptr;
  timer_.cancel();
  launcher_.reset();
  if (watch_ != nullptr) watch_->Stop();
}

void RunFollower::Arm() {
  if (!done_ || judging_) return;
  timer_.expires_after(kFollowInterval);
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    const auto self = weak.lock();
    if (!error && self != nullptr) self->Tick();
  });
}

void RunFollower::Tick() {
  if (!done_ || judging_) return;
  PassProgress();
  Look();
  Arm();
}

void RunFollower::Look() {
  const absl::StatusOr<std::optional<RunExit>> exit = directory_.ReadExit();
  if (exit.ok() && exit->has_value()) return Judge();
  if (!claim_.has_value()) LookAtClaim();
  if (claim_.has_value() && done_) LookAtWrapper();
}

void RunFollower::LookAtClaim() {
  const absl::StatusOr<std::optional<RunClaim>> claim = directory_.ReadClaim();
  if (claim.ok() && claim->has_value()) {
    claim_ = **claim;
    return;
  }
  if (parts_.clock->Read().steady - launched_ < kClaimTimeout) return;
  const absl::StatusOr<bool> mine = directory_.Claim(/*by_wrapper=*/false);
  if (mine.ok() && *mine) return NeverStarted();
  // A full or broken disk, say: whether a wrapper claims it yet can't be told.
  if (!mine.ok() && parts_.clock->Read().steady >= deadline_) {
    Finish(Ended(orch::v1::NODE_STATE_LOST, "unreadable", mine.status().message()));
  }
}

void RunFollower::LookAtWrapper() {
  if (!claim_->by_wrapper) return NeverStarted();
  const bool wrapper_lives = IsAlive(claim_->claimer);
  // Read after the wrapper was looked at, so that its last words are not missed.
  const absl::StatusOr<std::optional<RunExit>> exit = directory_.ReadExit();
  if (exit.ok() && exit->has_value()) return Judge();
  const absl::StatusOr<std::optional<RunPuppet>> puppet = directory_.ReadPuppet();
  if (wrapper_lives) {
    Watch(claim_->claimer);
    const bool ends_it = spec_.kill_after != absl::InfiniteDuration();
    // It ends Puppet by itself, and says so.
    const absl::Duration patience = ends_it ? 3 * kFollowKillGrace : absl::ZeroDuration();
    if (parts_.clock->Read().steady >= deadline_ + patience) PastDeadline();
    return;
  }
  if (puppet.ok() && !puppet->has_value()) return NeverStarted();
  if (!puppet.ok()) return Judge();
  LookAtPuppet(**puppet);
}

void RunFollower::LookAtPuppet(const RunPuppet& puppet) {
  if (ending_.has_value()) return EndPuppet(puppet.process);
  if (!IsAlive(puppet.process)) return Judge();
  Watch(puppet.process);
  if (parts_.clock->Read().steady < deadline_) return;
  if (spec_.kill_after == absl::InfiniteDuration()) {
    PastDeadline();
  } else {
    EndPuppet(puppet.process);
  }
}

void RunFollower::PastDeadline() {
  Finish(Ended(orch::v1::NODE_STATE_TIMED_OUT, "timeout",
               absl::StrCat("Puppet took longer than ", absl::FormatDuration(spec_.timeout),
                            "; it is left alone and goes on")));
}

void RunFollower::EndPuppet(const ProcessId& puppet) {
  const absl::Duration now = parts_.clock->Read().steady;
  if (!ending_.has_value()) {
    ending_.emplace(puppet);
    ending_since_ = now;
    ending_->Signal(SIGTERM);
    return;
  }
  ending_->Scan();
  const absl::Duration age = now - ending_since_;
  if (age >= kFollowKillGrace) ending_->Signal(SIGKILL);
  if (ending_->AnyAlive() && age < 2 * kFollowKillGrace) return;
  Finish(Ended(orch::v1::NODE_STATE_TIMED_OUT, "killed",
               absl::StrCat("Puppet took longer than ", absl::FormatDuration(spec_.timeout),
                            " and was ended")));
}

void RunFollower::PassProgress() {
  const std::vector<orch::v1::PuppetRunProgress> lines = log_.ReadMore();
  if (lines.empty()) return;
  const RunLog::Position position = log_.position();
  // Where it can't be written, a restarted agent passes these lines on twice.
  base::WriteFileAtomically(PositionFile(directory_),
                            absl::StrCat(position.offset, " ", position.passed), 0600)
      .IgnoreError();
  for (const orch::v1::PuppetRunProgress& line : lines) {
    orch::v1::ActionProgress progress;
    *progress.mutable_puppet_run() = line;
    progress_(std::move(progress));
  }
}

void RunFollower::NeverStarted() {
  Finish(attached_ ? Refused("interrupted",
                             "the node agent was restarted before Puppet was started, and it "
                             "never will be")
                   : Failed("start_failed", "the run's wrapper ended before it started Puppet"));
}

void RunFollower::Judge() {
  judging_ = true;
  timer_.cancel();
  if (watch_ != nullptr) watch_->Stop();
  parts_.worker->Post([weak = weak_from_this(), strand = parts_.strand, directory = directory_,
                       spec = spec_] {
    const RunEvidence evidence = GatherEvidence(directory, spec);
    // Where the wrapper was killed, the lock that it took for Puppet is still there.
    if (evidence.puppet.has_value()) ClearRunLock(spec.run_lock, evidence.puppet->process.pid);
    orch::bus::v1::Outcome outcome = JudgeRun(evidence);
    base::asio::post(strand, [weak, outcome = std::move(outcome)]() mutable {
      const auto self = weak.lock();
      if (self == nullptr) return;
      // What was logged last; in pieces, if it is much.
      for (size_t pieces = 0; self->done_ && pieces < kLogSearchMax / kLogReadMax; pieces++) {
        const uint64_t before = self->log_.position().offset;
        self->PassProgress();
        if (self->log_.position().offset == before) break;
      }
      if (outcome.result().has_puppet_run()) {
        outcome.mutable_result()->mutable_puppet_run()->set_progress_omitted(self->log_.omitted());
      }
      self->Finish(std::move(outcome));
    });
  });
}

void RunFollower::Finish(orch::bus::v1::Outcome outcome) {
  judging_ = true;
  timer_.cancel();
  if (watch_ != nullptr) watch_->Stop();
  parts_.worker->Post([self = shared_from_this(), outcome = std::move(outcome)] {
    // Kept until the journal surely has it: a restarted agent says the same again.
    const absl::Status written = self->directory_.WriteOutcome(outcome.SerializeAsString());
    if (!written.ok()) base::LogWarning("a run's outcome", {{"why", written.message()}});
    RemoveOldRuns(std::filesystem::path(self->directory_.path()).parent_path(),
                  self->parts_.clock->Read().wall - kRunDirectoryKept);
    base::asio::post(self->parts_.strand, [self, outcome] {
      const auto done = std::exchange(self->done_, nullptr);
      if (done) done(outcome);
    });
  });
}

void RunFollower::Watch(const ProcessId& process) {
  if (watched_ == process.pid) return;
  if (watch_ != nullptr) watch_->Stop();
  watched_ = process.pid;
  watch_ = ProcessWatch::Start(parts_.strand, process, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->timer_.cancel();
    self->Tick();
  });
}

}  // namespace orch::nodeagent
