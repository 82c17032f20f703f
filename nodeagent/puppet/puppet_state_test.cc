// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/puppet/puppet_state.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "nodeagent/process/process.h"
#include "nodeagent/puppet/puppet_lock.h"
#include "nodeagent/puppet/puppet_summary.h"

namespace orch::nodeagent {
namespace {

constexpr char kSummary[] =
    "---\nversion:\n  config: 1795436516\n  puppet: 7.23.0\napplication:\n"
    "  converged_environment: production\nresources:\n  changed: 2\n  failed: 1\n  total: 12\n"
    "time:\n  config_retrieval: 0.5\n  total: 1.25\n  last_run: 1000\n";

// A process that is a Puppet by name, until the end of the test.
class PuppetNamed {
 public:
  explicit PuppetNamed(const char* name) {
    int ready[2];
    if (pipe(ready) != 0) abort();
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_NAME, name);
      if (write(ready[1], "x", 1) != 1) _exit(1);
      for (;;) pause();
    }
    char byte;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
  }
  ~PuppetNamed() { End(); }
  void End() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

class PuppetStateTest : public testing::Test {
 protected:
  PuppetStateTest() {
    std::string pattern = testing::TempDir() + "stateXXXXXX";
    directory_ = mkdtemp(pattern.data());
    paths_.agent_disabled_lockfile = directory_ + "/state/disabled.lock";
    paths_.agent_catalog_run_lockfile = directory_ + "/state/run.lock";
    paths_.pidfile = directory_ + "/agent.pid";
    paths_.lastrunfile = directory_ + "/summary.yaml";
    std::filesystem::create_directories(directory_ + "/state");
  }
  ~PuppetStateTest() override { std::filesystem::remove_all(directory_); }
  void Write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
  orch::v1::PuppetStatusResult State() const {
    return ReadPuppetState(&paths_, absl::FromUnixSeconds(1550));
  }

  std::string directory_;
  PuppetPaths paths_;
};

TEST_F(PuppetStateTest, NeverRun) {
  EXPECT_EQ(State().message(), "Currently stopped; never completed a run");
  EXPECT_TRUE(State().enabled());
  EXPECT_FALSE(State().has_last_run());
}

TEST_F(PuppetStateTest, TheLastRunAndItsAge) {
  Write(paths_.lastrunfile, kSummary);
  EXPECT_EQ(State().message(), "Currently stopped; last completed run 9 minutes 10 seconds ago");
  EXPECT_EQ(State().last_run().seconds(), 1000);
  EXPECT_EQ(State().since_last_run().seconds(), 550);
}

TEST_F(PuppetStateTest, ADamagedSummaryIsUnknownNotZero) {
  const std::string whole = kSummary;
  for (size_t size = 1; size < whole.size() - 1; size += 3) {
    Write(paths_.lastrunfile, whole.substr(0, size));
    const orch::v1::PuppetStatusResult state = State();
    // A cut at a line's end after the last field looks whole.
    if (state.has_last_run()) continue;
    EXPECT_EQ(state.message(), "Currently stopped; last completed run unknown") << size;
  }
  Write(paths_.lastrunfile, "");
  EXPECT_EQ(State().message(), "Currently stopped; last completed run unknown");
}

TEST_F(PuppetStateTest, DisabledComesFirst) {
  ASSERT_TRUE(WriteDisabledLock(paths_.agent_disabled_lockfile, "by me \"x\"").ok());
  EXPECT_FALSE(State().enabled());
  EXPECT_EQ(State().disable_message(), "by me \"x\"");
  EXPECT_EQ(State().status(), "disabled");
  Write(paths_.agent_disabled_lockfile, "");
  EXPECT_FALSE(State().enabled());
  Write(paths_.agent_disabled_lockfile, "{\"disabled_message\": 7}");
  EXPECT_FALSE(State().enabled());
  ASSERT_TRUE(RemoveDisabledLock(paths_.agent_disabled_lockfile).ok());
  EXPECT_TRUE(State().enabled());
  EXPECT_TRUE(RemoveDisabledLock(paths_.agent_disabled_lockfile).ok());
}

TEST_F(PuppetStateTest, ApplyingNeedsALivePuppet) {
  PuppetNamed puppet("puppet");
  Write(paths_.agent_catalog_run_lockfile, std::to_string(puppet.pid()));
  EXPECT_TRUE(State().applying());
  EXPECT_EQ(State().status(), "applying a catalog");
  Write(paths_.agent_catalog_run_lockfile, std::to_string(getpid()));
  EXPECT_FALSE(State().applying());
  Write(paths_.agent_catalog_run_lockfile, "1");
  EXPECT_FALSE(State().applying());
  Write(paths_.agent_catalog_run_lockfile, "-1");
  EXPECT_FALSE(State().applying());
  Write(paths_.agent_catalog_run_lockfile, std::to_string(puppet.pid()));
  puppet.End();
  EXPECT_FALSE(State().applying());
}

TEST_F(PuppetStateTest, ADaemonIdlesWhileItAppliesNothing) {
  PuppetNamed daemon("puppet");
  PuppetNamed child("puppet agent: applying configuration");
  Write(paths_.pidfile, std::to_string(daemon.pid()) + "\n");
  EXPECT_TRUE(State().daemon_present());
  EXPECT_TRUE(State().idling());
  EXPECT_EQ(State().status(), "idling");
  Write(paths_.agent_catalog_run_lockfile, std::to_string(child.pid()));
  EXPECT_TRUE(State().applying());
  EXPECT_FALSE(State().idling());
}

TEST_F(PuppetStateTest, StrangersAreNoPuppet) {
  for (const char* name : {"puppetdb", "puppetserver", "java", "muppet"}) {
    PuppetNamed process(name);
    EXPECT_FALSE(IsPuppet(process.pid())) << name;
  }
}

TEST_F(PuppetStateTest, TheRunLockIsTakenOnce) {
  PuppetNamed first("puppet");
  PuppetNamed second("puppet");
  const std::string& lock = paths_.agent_catalog_run_lockfile;
  EXPECT_TRUE(*TakeRunLock(lock, first.pid()));
  EXPECT_FALSE(*TakeRunLock(lock, second.pid()));
  ClearRunLock(lock, first.pid());
  EXPECT_TRUE(std::filesystem::exists(lock)) << "its holder lives";
  ClearRunLock(lock, second.pid());
  EXPECT_TRUE(std::filesystem::exists(lock));
  const pid_t was = first.pid();
  first.End();
  EXPECT_TRUE(*TakeRunLock(lock, second.pid())) << "a stale lock is taken over";
  ClearRunLock(lock, was);
  EXPECT_EQ(FindRunLockHolder(lock)->pid, second.pid());
  // Nothing is left beside it.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_ + "/state"), {}), 1);
}

TEST(PuppetSummaryTest, WithoutResourcesNothingWasApplied) {
  const PuppetSummary whole = *ParsePuppetSummary(kSummary);
  EXPECT_EQ(whole.resources->failed(), 1u);
  EXPECT_EQ(whole.environment, "production");
  EXPECT_EQ(whole.configuration_version, "1795436516");
  EXPECT_EQ(whole.config_retrieval_time, absl::Milliseconds(500));
  const PuppetSummary failed =
      *ParsePuppetSummary("---\nversion:\n  puppet: 7.23.0\ntime:\n  last_run: 7\n");
  EXPECT_FALSE(failed.resources.has_value());
  EXPECT_FALSE(failed.noop_events.has_value());
  const std::string start = "---\nversion:\n  puppet: 7.23.0\ntime:\n  last_run: 7\nevents:\n";
  EXPECT_EQ(ParsePuppetSummary(start + "  total: 2\n  noop: 2\n")->noop_events, 2u);
  EXPECT_EQ(ParsePuppetSummary(start + "  total: 0\n  failure: 0\n")->noop_events, 0u);
  EXPECT_FALSE(ParsePuppetSummary(start + "  total:\n")->noop_events.has_value());
  EXPECT_FALSE(ParsePuppetSummary("---\n- 1\n").ok());
  EXPECT_FALSE(ParsePuppetSummary("version: 1\ntime: soon\n").ok());
  EXPECT_FALSE(ParsePuppetSummary("time: [\n").ok());
}

TEST(PuppetStateWordsTest, AgesInMCollectivesWords) {
  EXPECT_EQ(AgeWords(absl::Seconds(7)), "7 seconds");
  EXPECT_EQ(AgeWords(absl::Seconds(61)), "1 minute 01 seconds");
  EXPECT_EQ(AgeWords(absl::Seconds(3600 + 120)), "1 hour 2 minutes 00 seconds");
  EXPECT_EQ(AgeWords(absl::Seconds(2 * 86400 + 5)), "2 days 0 hours 0 minutes 05 seconds");
  EXPECT_EQ(AgeWords(-absl::Seconds(5)), "0 seconds");
}

TEST(PuppetStateWordsTest, WithoutPathsNothingIsKnown) {
  EXPECT_EQ(ReadPuppetState(nullptr, absl::Now()).status(), "unknown");
}

TEST_F(PuppetStateTest, AMessageIsCutBetweenCharacters) {
  std::string message;
  for (int i = 0; i < 60; ++i) message += "メンテナンス中のため停止しています。";
  ASSERT_TRUE(WriteDisabledLock(paths_.agent_disabled_lockfile, message).ok());
  const orch::v1::PuppetStatusResult state = ReadPuppetState(&paths_, absl::Now());
  EXPECT_EQ(state.disable_message(), message.substr(0, 999));
  EXPECT_TRUE(orch::v1::PuppetStatusResult().ParseFromString(state.SerializeAsString()));
}

}  // namespace
}  // namespace orch::nodeagent
