// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/actions/puppet_run.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <future>

#include "base/config.h"
#include "nodeagent/actions/run_fixture.h"
#include "nodeagent/puppet/puppet_lock.h"

namespace orch::nodeagent {
namespace {

using nlohmann::json;
using orch::v1::PuppetRun;

class PuppetRunTest : public RunFixture {
 protected:
  void HoldWith(json script = json::object()) {
    script["wait_for"] = GoFile();
    Script(script);
  }
};

TEST_F(PuppetRunTest, AChangedRunIsReadFromItsOwnReport) {
  Script({{"log", {{"notice", "/Stage[main]/Main/File[/srv/0]/ensure", "created"}}}});
  Start();
  const orch::bus::v1::Outcome outcome = Outcome();
  EXPECT_EQ(outcome.state(), orch::v1::NODE_STATE_SUCCEEDED) << outcome.message();
  const orch::v1::PuppetRunResult& result = Result(outcome);
  EXPECT_EQ(result.verdict(), orch::v1::PUPPET_RUN_VERDICT_CHANGED);
  EXPECT_EQ(result.exit_code(), 2);
  EXPECT_EQ(result.resources().changed(), 1u);
  EXPECT_EQ(result.resources().total(), 9u);
  ASSERT_EQ(result.changes_size(), 1);
  EXPECT_EQ(result.change_set().size(), 1u);
  EXPECT_EQ(result.change_set().digest().size(), 32u);
  EXPECT_EQ(result.changes(0).resource(), "File[/srv/0]");
  EXPECT_EQ(result.changes(0).property(), "ensure");
  EXPECT_EQ(result.changes(0).message(), "success of it");
  EXPECT_EQ(result.changes(0).file(), "/site.pp");
  EXPECT_EQ(result.changes(0).line(), 1u);
  EXPECT_EQ(result.transaction_uuid().size(), 36u);
  EXPECT_EQ(result.environment(), "production");
  EXPECT_EQ(result.puppet_version(), "7.23.0");
  EXPECT_FALSE(result.joined());
  EXPECT_LE(result.start_time().seconds(), result.end_time().seconds());
  EXPECT_EQ(runs_ended_, 1);
  EXPECT_EQ(runs_->running(), 0);
}

TEST_F(PuppetRunTest, TheLogIsPassedOnWhileItRuns) {
  HoldWith({{"log",
             {{"err", "Facter", "Permission denied"},
              {"info", "Puppet", "too small"},
              {"notice", "/Stage[main]/Main/File[/srv/0]/ensure", "created"}}}});
  Start();
  ASSERT_TRUE(Until([&] { return !progress_.empty(); }));
  EXPECT_FALSE(HasOutcome());
  EXPECT_EQ(progress_[0].level(), "notice");
  EXPECT_EQ(progress_[0].message(), "created");
  EXPECT_EQ(progress_[0].source(), "/Stage[main]/Main/File[/srv/0]/ensure");
  EXPECT_EQ(progress_[0].line(), 1u);
  EXPECT_NE(progress_[0].time().seconds(), 0);
  Go();
  Outcome();
  ASSERT_EQ(progress_.size(), 2u);
  EXPECT_EQ(progress_[1].message(), "Applied catalog in 0.01 seconds");
}

TEST_F(PuppetRunTest, PuppetGetsAConstantEnvironmentAndAGroupOfItsOwn) {
  setenv("ORCH_SECRET", "of the agent", 1);
  HoldWith();
  Start();
  const ProcessId puppet = Puppet();
  EXPECT_EQ(getpgid(puppet.pid), puppet.pid);
  EXPECT_NE(getsid(puppet.pid), getsid(0));
  Go();
  EXPECT_EQ(Outcome().state(), orch::v1::NODE_STATE_SUCCEEDED);
  const json environment = Starts().at(0).at("environment");
  EXPECT_EQ(environment.value("ORCH_SECRET", "none"), "none");
  EXPECT_EQ(environment.at("LC_ALL"), "C.UTF-8");
  EXPECT_TRUE(environment.contains("PATH"));
  EXPECT_TRUE(environment.contains("HOME"));
}

TEST_F(PuppetRunTest, VerdictsFollowTheReport) {
  struct Case {
    json script;
    orch::v1::NodeState state;
    orch::v1::PuppetRunVerdict verdict;
    std::string reason;
  };
  const std::vector<Case> cases = {
      {{{"status", "unchanged"}},
       orch::v1::NODE_STATE_SUCCEEDED,
       orch::v1::PUPPET_RUN_VERDICT_UNCHANGED,
       ""},
      {{{"status", "unchanged"}, {"noop_pending", true}},
       orch::v1::NODE_STATE_SUCCEEDED,
       orch::v1::PUPPET_RUN_VERDICT_NOOP_PENDING,
       ""},
      {{{"status", "failed"}},
       orch::v1::NODE_STATE_FAILED,
       orch::v1::PUPPET_RUN_VERDICT_FAILED,
       "failed"},
      {{{"status", "compile_failed"}, {"log", {{"err", "Puppet", "no such class"}}}},
       orch::v1::NODE_STATE_FAILED,
       orch::v1::PUPPET_RUN_VERDICT_COMPILE_FAILED,
       "compile_failed"},
      {{{"report", "none"},
        {"summary", "none"},
        {"exit", 1},
        {"log", {{"err", "Puppet", "no such class"}}}},
       orch::v1::NODE_STATE_FAILED,
       orch::v1::PUPPET_RUN_VERDICT_COMPILE_FAILED,
       "compile_failed"},
      {{{"report", "truncated"}},
       orch::v1::NODE_STATE_SUCCEEDED,
       orch::v1::PUPPET_RUN_VERDICT_CHANGED,
       ""},
      {{{"report", "truncated"}, {"summary", "truncated"}},
       orch::v1::NODE_STATE_FAILED,
       orch::v1::PUPPET_RUN_VERDICT_UNKNOWN,
       "no_report"},
      {{{"report", "none"}, {"status", "unchanged"}, {"noop_pending", true}},
       orch::v1::NODE_STATE_SUCCEEDED,
       orch::v1::PUPPET_RUN_VERDICT_NOOP_PENDING,
       ""},
      {{{"exit", 1}, {"log_after", {{"err", "Puppet", "postrun_command failed"}}}},
       orch::v1::NODE_STATE_FAILED,
       orch::v1::PUPPET_RUN_VERDICT_FAILED,
       "failed"},
      {{{"signal", 9}},
       orch::v1::NODE_STATE_FAILED,
       orch::v1::PUPPET_RUN_VERDICT_UNSPECIFIED,
       "killed"},
  };
  char id = 'a';
  for (const Case& test : cases) {
    Script(test.script);
    Start({}, id);
    const orch::bus::v1::Outcome outcome = Outcome(id++);
    EXPECT_EQ(outcome.state(), test.state) << test.script << outcome.message();
    EXPECT_EQ(Result(outcome).verdict(), test.verdict) << test.script << outcome.message();
    EXPECT_EQ(outcome.reason(), test.reason) << test.script << outcome.message();
    if (test.reason == "compile_failed") {
      EXPECT_EQ(outcome.message(), "no such class (file: /site.pp, line: 1)");
    }
  }
}

TEST_F(PuppetRunTest, ACatalogOfAnotherEnvironmentIsAFailure) {
  orch::v1::PuppetRun run;
  run.set_environment("staging");
  Start(run, 'a');
  EXPECT_EQ(Outcome('a').state(), orch::v1::NODE_STATE_SUCCEEDED) << Outcome('a').message();
  Script({{"environment", "production"}});
  Start(run, 'b');
  EXPECT_EQ(Outcome('b').reason(), "environment_mismatch");
  EXPECT_EQ(Outcome('b').message(), "asked for environment staging, but Puppet applied production");
  run.set_allow_environment_override(true);
  Start(run, 'c');
  EXPECT_EQ(Outcome('c').state(), orch::v1::NODE_STATE_SUCCEEDED) << Outcome('c').message();
  // Who joins a run of another environment does not get what it asked for either.
  Script({{"wait_for", GoFile()}});
  Start({}, 'd');
  Puppet('d');
  run.set_allow_environment_override(false);
  run.set_join(true);
  Start(run, 'e');
  Go();
  EXPECT_EQ(Outcome('d').state(), orch::v1::NODE_STATE_SUCCEEDED) << Outcome('d').message();
  EXPECT_EQ(Outcome('e').reason(), "environment_mismatch");
}

TEST_F(PuppetRunTest, TheReportOfAnEarlierRunIsNotTaken) {
  Start({}, 'a');
  ASSERT_EQ(Outcome('a').state(), orch::v1::NODE_STATE_SUCCEEDED);
  Script({{"report", "none"}, {"summary", "none"}, {"exit", 0}});
  Start({}, 'b');
  EXPECT_EQ(Outcome('b').reason(), "no_report");
}

TEST_F(PuppetRunTest, AHugeReportIsCutAndSaysSo) {
  Script({{"report", "huge"}});
  Start();
  const orch::bus::v1::Outcome outcome = Outcome();
  EXPECT_EQ(Result(outcome).verdict(), orch::v1::PUPPET_RUN_VERDICT_CHANGED) << outcome.message();
  EXPECT_EQ(Result(outcome).changes_size(), 500);
  EXPECT_EQ(Result(outcome).changes_omitted(), 19'500u);
  EXPECT_EQ(Result(outcome).change_set().size(), 20'000u);
  EXPECT_LT(outcome.ByteSizeLong(), 192u << 10);
}

TEST_F(PuppetRunTest, ADisabledNodeRefuses) {
  ASSERT_TRUE(WriteDisabledLock(DisabledLock(), "maintenance").ok());
  Start();
  const orch::bus::v1::Outcome outcome = Outcome();
  EXPECT_EQ(outcome.state(), orch::v1::NODE_STATE_REFUSED);
  EXPECT_EQ(outcome.reason(), "disabled");
  EXPECT_EQ(outcome.message(), "maintenance");
  EXPECT_TRUE(Starts().empty());
}

TEST_F(PuppetRunTest, OnlyOneRunAtATime) {
  HoldWith();
  Start({}, 'a');
  Puppet('a');
  Start({}, 'b');
  EXPECT_EQ(Outcome('b').reason(), "already_running");
  Go();
  EXPECT_EQ(Outcome('a').state(), orch::v1::NODE_STATE_SUCCEEDED);
  EXPECT_EQ(Starts().size(), 1u);
}

TEST_F(PuppetRunTest, WaitsForTheLockOrJoins) {
  HoldWith();
  Start({}, 'a');
  Puppet('a');
  PuppetRun wait;
  wait.mutable_wait_for_lock()->set_seconds(60);
  Start(wait, 'b');
  PuppetRun join;
  join.set_join(true);
  Start(join, 'c');
  ASSERT_TRUE(Until([&] { return waits_['b'] && waits_['c']; }));
  EXPECT_FALSE(waits_['a']) << "it works";
  EXPECT_EQ(runs_->running(), 3);
  int told = 0;
  for (const auto& line : progress_) told += line.message().find("waits for the Puppet run") == 0;
  EXPECT_EQ(told, 2) << "each says so once";
  Go();
  EXPECT_EQ(Outcome('a').state(), orch::v1::NODE_STATE_SUCCEEDED);
  const orch::bus::v1::Outcome joined = Outcome('c');
  EXPECT_TRUE(Result(joined).joined());
  EXPECT_EQ(Result(joined).transaction_uuid(), Result(Outcome('a')).transaction_uuid());
  EXPECT_NE(Result(Outcome('b')).transaction_uuid(), Result(joined).transaction_uuid());
  EXPECT_EQ(Starts().size(), 2u);
}

TEST_F(PuppetRunTest, AForeignRunIsHonouredAndCanBeJoined) {
  HoldWith();
  const std::string go = GoFile();
  ASSERT_TRUE(SpawnDetached({config_.program(), "agent", "--vardir", vardir_}).ok());
  ASSERT_TRUE(Until([&] { return FindRunLockHolder(RunLock()).has_value(); }));
  Start({}, 'a');
  EXPECT_EQ(Outcome('a').reason(), "already_running");
  PuppetRun join;
  join.set_join(true);
  Start(join, 'b');
  ASSERT_TRUE(Until([&] { return runs_->running() == 1; }));
  Go();
  const orch::bus::v1::Outcome outcome = Outcome('b');
  EXPECT_EQ(outcome.state(), orch::v1::NODE_STATE_SUCCEEDED) << outcome.message();
  EXPECT_TRUE(Result(outcome).joined());
  EXPECT_EQ(Result(outcome).verdict(), orch::v1::PUPPET_RUN_VERDICT_CHANGED);
  EXPECT_EQ(Starts().size(), 1u);
}

TEST_F(PuppetRunTest, AStaleLockOrOneOfAStrangerIsNone) {
  std::filesystem::create_directories(vardir_ + "/state");
  for (const std::string& content : {std::to_string(getpid()), std::string("999999999"),
                                     std::string(), std::string("garbage")}) {
    std::ofstream(RunLock()) << content;
    config_.set_mode(PUPPET_MODE_APPLY);
    config_.set_manifest("/site.pp");
    KillAgent();
    outcomes_.clear();
    std::filesystem::remove_all(directory_ + "/runs");
    Start();
    EXPECT_EQ(Outcome().state(), orch::v1::NODE_STATE_SUCCEEDED) << content;
    EXPECT_FALSE(std::filesystem::exists(RunLock()));
  }
}

TEST_F(PuppetRunTest, ApplyHoldsTheRunLockWithPuppetsPid) {
  config_.set_mode(PUPPET_MODE_APPLY);
  config_.set_manifest("/site.pp");
  HoldWith();
  Start();
  const ProcessId puppet = Puppet();
  const std::optional<RunLockHolder> holder = FindRunLockHolder(RunLock());
  ASSERT_TRUE(holder.has_value());
  EXPECT_EQ(holder->pid, puppet.pid);
  Go();
  EXPECT_EQ(Outcome().state(), orch::v1::NODE_STATE_SUCCEEDED);
  EXPECT_FALSE(std::filesystem::exists(RunLock()));
  EXPECT_EQ(Starts().at(0).at("arguments").back(), "/site.pp");
}

TEST_F(PuppetRunTest, CancelReachesWhatWaitsOnly) {
  HoldWith();
  Start({}, 'a');
  Puppet('a');
  PuppetRun wait;
  wait.mutable_wait_for_lock()->set_seconds(60);
  Start(wait, 'b');
  PuppetRun splay;
  splay.set_splay(true);
  splay.mutable_splay_limit()->set_seconds(3000);
  Start(splay, 'c');
  ASSERT_TRUE(Until([&] { return runs_->running() == 3; }));
  base::asio::post(strand_, [this] {
    for (char id : {'a', 'b', 'c'}) runs_->Cancel(std::string("job-") + id);
  });
  EXPECT_EQ(Outcome('b').state(), orch::v1::NODE_STATE_CANCELLED);
  EXPECT_EQ(Outcome('c').state(), orch::v1::NODE_STATE_CANCELLED);
  EXPECT_FALSE(HasOutcome('a'));
  Go();
  EXPECT_EQ(Outcome('a').state(), orch::v1::NODE_STATE_SUCCEEDED);
  EXPECT_EQ(Starts().size(), 1u);
}

TEST_F(PuppetRunTest, CancelReachesWhatIsBeingPrepared) {
  Start({}, 'a');
  EXPECT_EQ(Outcome('a').state(), orch::v1::NODE_STATE_SUCCEEDED);
  std::promise<void> go;
  worker_->Post([done = go.get_future().share()] { done.wait(); });
  Start({}, 'b');
  // Busy: its directory is being written.
  EXPECT_TRUE(Until([&] { return waits_.contains('b'); }));
  bool cancelled = false;
  base::asio::post(strand_, [&] {
    runs_->Cancel("job-b");
    cancelled = true;
  });
  ASSERT_TRUE(Until([&] { return cancelled; }));
  go.set_value();
  EXPECT_EQ(Outcome('b').state(), orch::v1::NODE_STATE_CANCELLED);
  EXPECT_EQ(Starts().size(), 1u);
}

TEST_F(PuppetRunTest, ATimeoutLeavesPuppetAlone) {
  HoldWith();
  PuppetRun run;
  run.mutable_timeout()->set_nanos(200'000'000);
  Start(run);
  const orch::bus::v1::Outcome outcome = Outcome();
  EXPECT_EQ(outcome.state(), orch::v1::NODE_STATE_TIMED_OUT);
  EXPECT_EQ(outcome.reason(), "timeout");
  EXPECT_TRUE(IsAlive(Puppet()));
  Start({}, 'b');
  EXPECT_EQ(Outcome('b').reason(), "already_running");
}

TEST_F(PuppetRunTest, KillOnTimeoutLeavesNoSurvivor) {
  HoldWith({{"child", directory_ + "/child"}});
  PuppetRun run;
  run.mutable_timeout()->set_seconds(1);
  run.set_kill_on_timeout(true);
  Start(run);
  const ProcessId puppet = Puppet();
  ASSERT_TRUE(Until([&] { return std::filesystem::exists(directory_ + "/child"); }));
  pid_t child = 0;
  std::ifstream(directory_ + "/child") >> child;
  const orch::bus::v1::Outcome outcome = Outcome();
  EXPECT_EQ(outcome.state(), orch::v1::NODE_STATE_TIMED_OUT);
  EXPECT_EQ(outcome.reason(), "killed");
  EXPECT_FALSE(IsAlive(puppet));
  EXPECT_FALSE(Identify(child).has_value());
}

TEST_F(PuppetRunTest, WithSystemdARunGetsAUnitOfItsOwn) {
  const std::string program = directory_ + "/systemd-run";
  std::ofstream(program)
      << "#!/bin/sh\necho \"$@\" >" << directory_
      << "/unit\nwhile [ \"$1\" != -- ]; do shift; done; shift\n"
         "setsid \"$@\" </dev/null >/dev/null 2>&1 &\n"
         // Out of the command's group before that ends, as a unit is.
         "until [ \"$(cut -d' ' -f6 /proc/$!/stat)\" = $! ]; do sleep 0.01; done\n";
  chmod(program.c_str(), 0755);
  config_.set_systemd_run(program);
  Start();
  EXPECT_EQ(Outcome().state(), orch::v1::NODE_STATE_SUCCEEDED);
  const std::string unit = *base::ReadFile(directory_ + "/unit");
  EXPECT_NE(unit.find("--collect"), std::string::npos) << unit;
  EXPECT_NE(unit.find("--unit=orch-run-61616161616161616161616161616161"), std::string::npos);
  EXPECT_NE(unit.find("--property=KillMode=process"), std::string::npos);
}

TEST_F(PuppetRunTest, WhereSystemdFailsTheRunGetsASession) {
  const std::string program = directory_ + "/systemd-run";
  std::ofstream(program) << "#!/bin/sh\necho no bus >&2\nexit 1\n";
  chmod(program.c_str(), 0755);
  config_.set_systemd_run(program);
  Start();
  EXPECT_EQ(Outcome().state(), orch::v1::NODE_STATE_SUCCEEDED);
  EXPECT_EQ(Starts().size(), 1u);
}

TEST_F(PuppetRunTest, PuppetThatCannotBeAskedOrStartedIsRefused) {
  Script({{"config_print", "fails"}});
  Start({}, 'a');
  EXPECT_EQ(Outcome('a').reason(), "puppet_unavailable");
  EXPECT_NE(Outcome('a').message().find("no configuration"), std::string::npos)
      << Outcome('a').message();
  KillAgent();
  Script({});
  StartAgent();
  Start({}, 'b');
  ASSERT_EQ(Outcome('b').state(), orch::v1::NODE_STATE_SUCCEEDED);
  config_.set_program(directory_ + "/puppet");
  config_.mutable_runtimeout()->set_seconds(60);
  for (std::string* path :
       {config_.mutable_agent_disabled_lockfile(), config_.mutable_agent_catalog_run_lockfile(),
        config_.mutable_pidfile(), config_.mutable_lastrunfile(), config_.mutable_lastrunreport(),
        config_.mutable_classfile(), config_.mutable_resourcefile()}) {
    *path = directory_ + "/none";
  }
  KillAgent();
  Start({}, 'c');
  EXPECT_EQ(Outcome('c').reason(), "start_failed");
  EXPECT_NE(Outcome('c').message().find("No such file"), std::string::npos)
      << Outcome('c').message();
}

}  // namespace
}  // namespace orch::nodeagent
