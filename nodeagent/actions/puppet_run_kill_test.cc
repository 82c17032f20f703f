// SPDX-License-Identifier: Apache-2.0
// Agent, wrapper and Puppet are killed at any moment of a run: no second start, one outcome.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <future>

#include "absl/strings/match.h"
#include "base/config.h"
#include "nodeagent/actions/run_fixture.h"
#include "nodeagent/puppet/puppet_lock.h"

namespace orch::nodeagent {
namespace {

using nlohmann::json;

class PuppetRunKillTest : public RunFixture {
 protected:
  void StartHeld() {
    Script({{"wait_for", GoFile()}});
    Start();
    puppet_ = Puppet();
    wrapper_ = Wrapper();
    EXPECT_TRUE(Until([&] { return FindRunLockHolder(RunLock()).has_value(); }));
  }
  void Kill(const ProcessId& process) {
    ASSERT_TRUE(IsAlive(process));
    kill(process.pid, SIGKILL);
    ASSERT_TRUE(Until([&] { return !IsAlive(process); }));
  }
  // The result of the run that was held, told once, after one start.
  void ExpectChanged() {
    const orch::bus::v1::Outcome outcome = Outcome();
    EXPECT_EQ(outcome.state(), orch::v1::NODE_STATE_SUCCEEDED) << outcome.message();
    EXPECT_EQ(Result(outcome).verdict(), orch::v1::PUPPET_RUN_VERDICT_CHANGED);
    EXPECT_EQ(Starts().size(), 1u);
  }

  // Its log is in the run's directory, which its arguments name.
  size_t StartsOf(char id) const {
    const std::string directory = Directory(id).path();
    const std::vector<json> starts = Starts();
    return static_cast<size_t>(std::count_if(starts.begin(), starts.end(), [&](const json& start) {
      return absl::StrContains(start["arguments"].dump(), directory);
    }));
  }

  ProcessId puppet_;
  ProcessId wrapper_;
};

TEST_F(PuppetRunKillTest, ARunOutlivesTheAgent) {
  StartHeld();
  KillAgent();
  EXPECT_TRUE(IsAlive(puppet_));
  Resume();
  ASSERT_TRUE(Until([&] { return runs_->running() == 1; }));
  EXPECT_FALSE(HasOutcome());
  Go();
  ExpectChanged();
  EXPECT_EQ(Result(Outcome()).exit_code(), 2);
}

TEST_F(PuppetRunKillTest, ARunThatEndedWhileTheAgentWasAwayIsReported) {
  StartHeld();
  KillAgent();
  Go();
  ASSERT_TRUE(Until([&] { return Directory().ReadExit().value_or(std::nullopt).has_value(); }));
  // Somebody else's later run replaces Puppet's own report.
  Script({{"status", "failed"}});
  ASSERT_TRUE(SpawnDetached({config_.program(), "agent", "--vardir", vardir_}).ok());
  ASSERT_TRUE(
      Until([&] { return Starts().size() == 2 && !FindRunLockHolder(RunLock()).has_value(); }));
  Resume();
  const orch::bus::v1::Outcome outcome = Outcome();
  EXPECT_EQ(Result(outcome).verdict(), orch::v1::PUPPET_RUN_VERDICT_CHANGED) << outcome.message();
}

TEST_F(PuppetRunKillTest, TheWrapperKilledPuppetGoesOnAndItsReportCounts) {
  StartHeld();
  Kill(wrapper_);
  EXPECT_TRUE(IsAlive(puppet_));
  Go();
  ExpectChanged();
  EXPECT_EQ(Result(Outcome()).exit_code(), -1);
}

TEST_F(PuppetRunKillTest, WrapperAndAgentKilled) {
  StartHeld();
  KillAgent();
  Kill(wrapper_);
  Resume();
  Go();
  ExpectChanged();
}

TEST_F(PuppetRunKillTest, TheWrapperKilledLeavesNoLockBehind) {
  config_.set_mode(PUPPET_MODE_APPLY);
  config_.set_manifest("/site.pp");
  StartHeld();
  Kill(wrapper_);
  EXPECT_TRUE(std::filesystem::exists(RunLock()));
  Go();
  ExpectChanged();
  EXPECT_FALSE(std::filesystem::exists(RunLock()));
}

TEST_F(PuppetRunKillTest, EverybodyKilledIsLost) {
  StartHeld();
  KillAgent();
  Kill(wrapper_);
  Kill(puppet_);
  Resume();
  const orch::bus::v1::Outcome outcome = Outcome();
  EXPECT_EQ(outcome.state(), orch::v1::NODE_STATE_LOST);
  EXPECT_EQ(outcome.reason(), "no_report");
}

TEST_F(PuppetRunKillTest, PuppetKilledFails) {
  StartHeld();
  Kill(puppet_);
  const orch::bus::v1::Outcome outcome = Outcome();
  EXPECT_EQ(outcome.state(), orch::v1::NODE_STATE_FAILED);
  EXPECT_EQ(outcome.message(), "Puppet was ended by signal 9");
}

TEST_F(PuppetRunKillTest, WithoutAWrapperKillOnTimeoutIsTheAgents) {
  Script({{"wait_for", GoFile()}, {"child", directory_ + "/child"}});
  orch::v1::PuppetRun run;
  run.mutable_timeout()->set_seconds(2);
  run.set_kill_on_timeout(true);
  Start(run);
  puppet_ = Puppet();
  Kill(Wrapper());
  const orch::bus::v1::Outcome outcome = Outcome();
  EXPECT_EQ(outcome.state(), orch::v1::NODE_STATE_TIMED_OUT);
  EXPECT_EQ(outcome.reason(), "killed");
  EXPECT_FALSE(IsAlive(puppet_));
}

TEST_F(PuppetRunKillTest, AMachineThatWasBootedIsLost) {
  StartHeld();
  KillAgent();
  Kill(wrapper_);
  Kill(puppet_);
  // As it looks after a boot: the pid is a stranger's.
  RunPuppet puppet = **Directory().ReadPuppet();
  puppet.process.boot = "of yesterday";
  puppet.process.pid = getpid();
  ASSERT_TRUE(Directory().WritePuppet(puppet).ok());
  Resume();
  const orch::bus::v1::Outcome outcome = Outcome();
  EXPECT_EQ(outcome.state(), orch::v1::NODE_STATE_LOST);
  EXPECT_EQ(outcome.reason(), "rebooted");
}

TEST_F(PuppetRunKillTest, WhatWasNeverPreparedNeverStarts) {
  Resume();
  EXPECT_EQ(Outcome().reason(), "interrupted");
  EXPECT_TRUE(Starts().empty());
}

TEST_F(PuppetRunKillTest, WhatWasPreparedButNotStartedIsClaimed) {
  RunSpec spec;
  spec.argv = {config_.program(), "agent", "--vardir", vardir_};
  spec.create_time = absl::Now();
  std::filesystem::create_directories(directory_ + "/runs");
  ASSERT_TRUE(Directory().Prepare(spec).ok());
  Resume();
  EXPECT_EQ(Outcome().reason(), "interrupted");
  // A wrapper that comes up late does nothing.
  ASSERT_TRUE(SpawnDetached({std::filesystem::absolute("nodeagent/wrapper/run_wrapper_main"),
                             Directory().path()})
                  .ok());
  ASSERT_TRUE(Until([&] { return Directory().ReadOutcome().has_value(); }));
  EXPECT_FALSE((*Directory().ReadClaim())->by_wrapper);
  EXPECT_TRUE(Starts().empty());
}

TEST_F(PuppetRunKillTest, CancelReachesWhatIsBeingTakenUpAgain) {
  RunSpec spec;
  spec.argv = {config_.program(), "agent", "--vardir", vardir_};
  spec.create_time = absl::Now();
  std::filesystem::create_directories(directory_ + "/runs");
  ASSERT_TRUE(Directory('a').Prepare(spec).ok());
  std::promise<void> go;
  worker_->Post([done = go.get_future().share()] { done.wait(); });
  Resume('a');
  ASSERT_TRUE(Until([&] { return runs_->running() == 1; }));
  bool cancelled = false;
  base::asio::post(strand_, [&] {
    runs_->Cancel("job-a");
    cancelled = true;
  });
  ASSERT_TRUE(Until([&] { return cancelled; }));
  go.set_value();
  EXPECT_EQ(Outcome('a').state(), orch::v1::NODE_STATE_CANCELLED);
  EXPECT_TRUE(Starts().empty());
}

TEST_F(PuppetRunKillTest, TheSameRequestStartsNothingEvenIfTheJournalWereLost) {
  StartHeld();
  KillAgent();
  Start();
  EXPECT_EQ(Outcome().reason(), "already_running");
  Go();
  ASSERT_TRUE(Until([&] { return Directory().ReadExit().value_or(std::nullopt).has_value(); }));
  outcomes_.clear();
  Start();
  ExpectChanged();
}

TEST_F(PuppetRunKillTest, AnOutcomeIsToldAgainAsItWas) {
  Start();
  const std::string first = Outcome().SerializeAsString();
  KillAgent();
  outcomes_.clear();
  Resume();
  EXPECT_EQ(Outcome().SerializeAsString(), first);
  EXPECT_EQ(Starts().size(), 1u);
}

// The wrapper is killed at many moments, from before its claim to after its last word; and the
// agent with it.
TEST_F(PuppetRunKillTest, AtAnyMoment) {
  constexpr int kMoments = 40;
  for (int moment = 0; moment < kMoments; moment++) {
    const char id = static_cast<char>('A' + moment);
    Start({}, id);
    const absl::Time kill_at = absl::Now() + absl::Milliseconds(3 * moment);
    // Its pid, from the claim as soon as there is one.
    Until([&] { return absl::Now() >= kill_at; });
    const std::optional<RunClaim> claim = Directory(id).ReadClaim().value_or(std::nullopt);
    if (claim.has_value() && claim->by_wrapper && IsAlive(claim->claimer)) {
      kill(claim->claimer.pid, SIGKILL);
    }
    if (moment % 2 == 0) {
      KillAgent();
      if (!HasOutcome(id)) Resume(id);
    }
    const orch::bus::v1::Outcome outcome = Outcome(id);
    const size_t starts = StartsOf(id);
    if (outcome.state() == orch::v1::NODE_STATE_SUCCEEDED) {
      EXPECT_EQ(starts, 1u) << moment;
    }
    if (outcome.state() == orch::v1::NODE_STATE_REFUSED) {
      EXPECT_EQ(starts, 0u) << moment;
    }
    // Nobody is left, so that the next one can run.
    ASSERT_TRUE(Until([&] { return !FindRunLockHolder(RunLock()).has_value(); }));
  }
  // A Puppet without its wrapper may have come up only after the outcome.
  for (int moment = 0; moment < kMoments; moment++) {
    EXPECT_LE(StartsOf(static_cast<char>('A' + moment)), 1u) << moment;
  }
}

}  // namespace
}  // namespace orch::nodeagent
