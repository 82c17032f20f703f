// SPDX-License-Identifier: Apache-2.0
// puppet.run against the installed Puppet, in apply mode.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/config.h"
#include "nodeagent/actions/run_fixture.h"
#include "nodeagent/puppet/puppet_state.h"

namespace orch::nodeagent {
namespace {

class RealPuppetTest : public RunFixture {
 protected:
  RealPuppetTest() {
    patience_ = absl::Seconds(100);
    config_.clear_program();
    config_.set_mode(PUPPET_MODE_APPLY);
    config_.set_confdir(directory_ + "/conf");
    config_.set_codedir(directory_ + "/code");
    config_.set_rundir(directory_ + "/run");
    config_.set_ssldir(directory_ + "/ssl");
    config_.set_logdir(directory_ + "/log");
    config_.set_publicdir(directory_ + "/public");
    for (const char* name : {"conf", "code", "run", "ssl", "log", "public"}) {
      std::filesystem::create_directories(directory_ + "/" + name);
    }
    config_.set_manifest(directory_ + "/site.pp");
    PuppetConf("");
  }
  // As root Puppet gives its files to the user puppet, which a sandbox does not know.
  void PuppetConf(const std::string& agent) {
    std::ofstream(directory_ + "/conf/puppet.conf")
        << "[main]\nuser = root\ngroup = root\n[agent]\n"
        << agent;
  }
  void SetUp() override {
    if (PuppetProgram(config_).empty())
      FAIL() << "there is no Puppet on this machine; tools/test installs it";
  }
  void Manifest(const std::string& text) { std::ofstream(config_.manifest()) << text; }
  std::string Motd() const {
    return "file { '" + directory_ + "/motd': ensure => file, content => \"hello\\n\" }\n";
  }
};

TEST_F(RealPuppetTest, ChangedThenUnchangedThenNoopThenDisabled) {
  Manifest(Motd());
  Start({}, 'a');
  const orch::bus::v1::Outcome changed = Outcome('a');
  ASSERT_EQ(changed.state(), orch::v1::NODE_STATE_SUCCEEDED) << changed.message();
  EXPECT_EQ(Result(changed).verdict(), orch::v1::PUPPET_RUN_VERDICT_CHANGED);
  EXPECT_EQ(Result(changed).exit_code(), 2);
  ASSERT_EQ(Result(changed).changes_size(), 1);
  EXPECT_EQ(Result(changed).change_set().size(), 1u);
  EXPECT_EQ(Result(changed).changes(0).resource(), "File[" + directory_ + "/motd]");
  EXPECT_EQ(Result(changed).changes(0).property(), "ensure");
  EXPECT_EQ(Result(changed).environment(), "production");
  EXPECT_EQ(Result(changed).errors_size(), 0) << "Facter's complaints are none";
  EXPECT_EQ(Result(changed).transaction_uuid().size(), 36u);
  EXPECT_GE(progress_.size(), 2u);
  for (const orch::v1::PuppetRunProgress& line : progress_) EXPECT_NE(line.source(), "Facter");

  Start({}, 'b');
  EXPECT_EQ(Result(Outcome('b')).verdict(), orch::v1::PUPPET_RUN_VERDICT_UNCHANGED);
  EXPECT_NE(Result(Outcome('b')).transaction_uuid(), Result(changed).transaction_uuid());

  std::filesystem::remove(directory_ + "/motd");
  orch::v1::PuppetRun noop;
  noop.set_noop(true);
  Start(noop, 'c');
  const orch::bus::v1::Outcome pending = Outcome('c');
  EXPECT_EQ(Result(pending).verdict(), orch::v1::PUPPET_RUN_VERDICT_NOOP_PENDING);
  EXPECT_TRUE(Result(pending).noop());
  EXPECT_EQ(Result(pending).resources().noop_pending(), 1u);
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/motd"));

  const std::shared_ptr<const PuppetPaths> paths = paths_->Known();
  EXPECT_NE(ReadPuppetState(paths.get(), absl::Now()).message().find("seconds ago"),
            std::string::npos);
  EXPECT_NE(base::ReadFile(paths->resourcefile)->find("motd]"), std::string::npos);
}

TEST_F(RealPuppetTest, FailedAndNotCompiled) {
  Manifest("exec { '/bin/false': }\n" + Motd());
  Start({}, 'a');
  const orch::bus::v1::Outcome failed = Outcome('a');
  EXPECT_EQ(failed.reason(), "failed");
  EXPECT_EQ(Result(failed).verdict(), orch::v1::PUPPET_RUN_VERDICT_FAILED);
  EXPECT_EQ(Result(failed).exit_code(), 6);
  EXPECT_EQ(Result(failed).resources().failed(), 1u);
  EXPECT_NE(failed.message().find("Exec[/bin/false]: change from"), std::string::npos)
      << failed.message();

  Manifest("include nonexistent\n");
  Start({}, 'b');
  const orch::bus::v1::Outcome broken = Outcome('b');
  EXPECT_EQ(Result(broken).verdict(), orch::v1::PUPPET_RUN_VERDICT_COMPILE_FAILED);
  EXPECT_EQ(Result(broken).exit_code(), 1);
  EXPECT_NE(broken.message().find("nonexistent"), std::string::npos) << broken.message();
}

TEST_F(RealPuppetTest, ARunThatRestartsTheAgentEndsChangedWithOneStart) {
  Manifest("exec { '/bin/sh -c \"echo x >>" + directory_ + "/starts.txt; until test -e " +
           GoFile() + "; do sleep 0.05; done\"': timeout => 60 }\n");
  Start();
  ASSERT_TRUE(Until([&] { return std::filesystem::exists(directory_ + "/starts.txt"); }));
  KillAgent();
  Resume();
  Go();
  const orch::bus::v1::Outcome outcome = Outcome();
  EXPECT_EQ(Result(outcome).verdict(), orch::v1::PUPPET_RUN_VERDICT_CHANGED) << outcome.message();
  EXPECT_EQ(*base::ReadFile(directory_ + "/starts.txt"), "x\n");
}

TEST_F(RealPuppetTest, AnAgentWithoutAServerSaysWhy) {
  config_.set_mode(PUPPET_MODE_AGENT);
  PuppetConf("server = 127.0.0.1\nserverport = 1\nwaitforcert = 0\nmaxwaitforcert = 0\n");
  Start();
  const orch::bus::v1::Outcome outcome = Outcome();
  EXPECT_EQ(outcome.state(), orch::v1::NODE_STATE_FAILED);
  EXPECT_EQ(Result(outcome).verdict(), orch::v1::PUPPET_RUN_VERDICT_COMPILE_FAILED);
  EXPECT_NE(outcome.message(), "");
  EXPECT_GT(Result(outcome).errors_size(), 0);
}

}  // namespace
}  // namespace orch::nodeagent
