// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/wrapper/run_directory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/config.h"

namespace orch::nodeagent {
namespace {

class RunDirectoryTest : public testing::Test {
 protected:
  RunDirectoryTest() {
    std::string pattern = testing::TempDir() + "rundirXXXXXX";
    root_ = mkdtemp(pattern.data());
  }
  ~RunDirectoryTest() override { std::filesystem::remove_all(root_); }
  RunDirectory Prepared(const std::string& name = "run") {
    const RunDirectory directory(root_ + "/runs/" + name);
    RunSpec spec;
    spec.argv = {"/bin/x", "--flag", "a value"};
    spec.environment = {"A=b"};
    spec.run_lock = "/lock";
    spec.previous_uuid = "uuid";
    spec.create_time = absl::FromUnixMicros(1234567);
    spec.timeout = absl::Seconds(90);
    EXPECT_TRUE(directory.Prepare(spec).ok());
    return directory;
  }

  std::string root_;
};

TEST_F(RunDirectoryTest, TheSpecComesBack) {
  const RunSpec spec = *Prepared().ReadSpec();
  EXPECT_EQ(spec.argv, (std::vector<std::string>{"/bin/x", "--flag", "a value"}));
  EXPECT_EQ(spec.environment, std::vector<std::string>{"A=b"});
  EXPECT_EQ(spec.run_lock, "/lock");
  EXPECT_EQ(spec.previous_uuid, "uuid");
  EXPECT_EQ(spec.create_time, absl::FromUnixMicros(1234567));
  EXPECT_EQ(spec.timeout, absl::Seconds(90));
  EXPECT_EQ(spec.kill_after, absl::InfiniteDuration());
}

TEST_F(RunDirectoryTest, ARunIsPreparedOnceAndPrivate) {
  const RunDirectory directory = Prepared();
  EXPECT_TRUE(absl::IsAlreadyExists(directory.Prepare(RunSpec())));
  EXPECT_EQ(std::filesystem::status(directory.path()).permissions(),
            std::filesystem::perms::owner_all);
}

TEST_F(RunDirectoryTest, OneOfManyClaims) {
  const RunDirectory directory = Prepared();
  EXPECT_FALSE(directory.ReadClaim()->has_value());
  std::atomic<int> winners = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; i++) {
    threads.emplace_back([&, i] { winners += *directory.Claim(i % 2 == 0) ? 1 : 0; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(winners, 1);
  EXPECT_EQ((*directory.ReadClaim())->claimer, *Identify(getpid()));
  // Nothing but spec and claim is left.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 2);
}

TEST_F(RunDirectoryTest, RecordsComeBack) {
  const RunDirectory directory = Prepared();
  EXPECT_FALSE(directory.ReadPuppet()->has_value());
  EXPECT_FALSE(directory.ReadExit()->has_value());
  ASSERT_TRUE(directory.WritePuppet({{7, 8, "boot"}, absl::FromUnixSeconds(9)}).ok());
  EXPECT_EQ((*directory.ReadPuppet())->process, (ProcessId{7, 8, "boot"}));
  RunExit exit;
  exit.exit_code = 6;
  exit.killed = true;
  exit.message = "not \xff text";
  ASSERT_TRUE(directory.WriteExit(exit).ok());
  EXPECT_EQ((*directory.ReadExit())->exit_code, 6);
  EXPECT_TRUE((*directory.ReadExit())->killed);
}

TEST_F(RunDirectoryTest, DamagedRecordsAreErrorsNotAbsent) {
  const RunDirectory directory = Prepared();
  for (const char* text :
       {"", "{}", "[1]", "{\"version\": 2}", "{\"version\": 1, \"process\": 3}"}) {
    for (const char* name : {"claim", "puppet", "exit", "spec"}) {
      std::ofstream(directory.path() + "/" + name) << text;
    }
    EXPECT_EQ(directory.ReadClaim().status().code(), absl::StatusCode::kDataLoss) << text;
    EXPECT_EQ(directory.ReadPuppet().status().code(), absl::StatusCode::kDataLoss) << text;
    EXPECT_EQ(directory.ReadExit().status().code(), absl::StatusCode::kDataLoss) << text;
    EXPECT_EQ(directory.ReadSpec().status().code(), absl::StatusCode::kDataLoss) << text;
  }
  EXPECT_EQ(RunDirectory(root_ + "/none").ReadSpec().status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RunDirectoryTest, TheFirstOutcomeStays) {
  const RunDirectory directory = Prepared();
  EXPECT_FALSE(directory.ReadOutcome().has_value());
  ASSERT_TRUE(directory.WriteOutcome("first").ok());
  ASSERT_TRUE(directory.WriteOutcome("second").ok());
  EXPECT_EQ(directory.ReadOutcome(), "first");
}

TEST_F(RunDirectoryTest, KeptFilesAreAsTheyWere) {
  const RunDirectory directory = Prepared();
  const std::string report = root_ + "/report";
  ASSERT_TRUE(base::WriteFileAtomically(report, "ours", 0644).ok());
  directory.Keep(report, "report.yaml");
  ASSERT_TRUE(base::WriteFileAtomically(report, "theirs", 0644).ok());
  EXPECT_EQ(*base::ReadFile(directory.report()), "ours");
  directory.Keep(root_ + "/none", "summary.yaml");
  EXPECT_FALSE(std::filesystem::exists(directory.summary()));
}

TEST_F(RunDirectoryTest, OnlyEndedOldRunsAreRemoved) {
  const RunDirectory old = Prepared("old");
  const RunDirectory open = Prepared("open");
  ASSERT_TRUE(old.WriteOutcome("x").ok());
  RemoveOldRuns(root_ + "/runs", absl::Now() - absl::Hours(1));
  EXPECT_TRUE(std::filesystem::exists(old.path()));
  RemoveOldRuns(root_ + "/runs", absl::Now() + absl::Hours(1));
  EXPECT_FALSE(std::filesystem::exists(old.path()));
  EXPECT_TRUE(std::filesystem::exists(open.path()));
  RemoveOldRuns(root_ + "/none", absl::Now());
}

}  // namespace
}  // namespace orch::nodeagent
