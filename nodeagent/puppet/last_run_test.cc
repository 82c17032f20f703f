// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/puppet/last_run.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace orch::nodeagent {
namespace {

class LastRunTest : public testing::Test {
 protected:
  LastRunTest() {
    std::filesystem::create_directories(directory_);
    paths_.lastrunfile = directory_ + "/summary.yaml";
    paths_.lastrunreport = directory_ + "/report.yaml";
  }
  ~LastRunTest() override { std::filesystem::remove_all(directory_); }

  static void Write(const std::string& path, const std::string& text) {
    std::ofstream(path + ".new") << text;
    std::filesystem::rename(path + ".new", path);
  }
  void WriteSummary(const std::string& resources, int version = 7) {
    Write(paths_.lastrunfile,
          absl::StrCat("---\nversion:\n  config: ", version,
                       "\n  puppet: 7.23.0\napplication:\n  converged_environment: staging\n",
                       resources, "time:\n  total: 2.5\n  last_run: 1500\n"));
  }
  void WriteReport(const std::string& status, bool noop, bool pending, int version = 7) {
    Write(paths_.lastrunreport,
          absl::StrCat("--- !ruby/object:Puppet::Transaction::Report\nhost: vm\n",
                       "configuration_version: ", version, "\ntransaction_uuid: 03a6e82c\n",
                       "status: ", status, "\nnoop: ", noop ? "true" : "false",
                       "\nnoop_pending: ", pending ? "true" : "false", "\nlogs: []\n"));
  }
  orch::v1::PuppetRunVerdict Verdict() { return last_.Read(paths_)->verdict(); }

  const std::string directory_ = testing::TempDir() + "/last_run";
  PuppetPaths paths_;
  LastRun last_;
};

std::string Counts(int changed, int failed) {
  return absl::StrCat("resources:\n  total: 10\n  changed: ", changed, "\n  failed: ", failed,
                      "\nevents:\n  total: ", changed + failed, "\n");
}

TEST_F(LastRunTest, NoneYet) { EXPECT_FALSE(last_.Read(paths_).has_value()); }

TEST_F(LastRunTest, EachVerdict) {
  WriteSummary(Counts(0, 0));
  WriteReport("unchanged", false, false);
  EXPECT_EQ(Verdict(), orch::v1::PUPPET_RUN_VERDICT_UNCHANGED);
  WriteReport("unchanged", true, true);
  EXPECT_EQ(Verdict(), orch::v1::PUPPET_RUN_VERDICT_NOOP_PENDING);
  WriteSummary(Counts(3, 0));
  WriteReport("changed", false, false);
  EXPECT_EQ(Verdict(), orch::v1::PUPPET_RUN_VERDICT_CHANGED);
  WriteSummary(Counts(3, 1));
  WriteReport("failed", false, false);
  EXPECT_EQ(Verdict(), orch::v1::PUPPET_RUN_VERDICT_FAILED);
  WriteSummary("");
  EXPECT_EQ(Verdict(), orch::v1::PUPPET_RUN_VERDICT_COMPILE_FAILED);
}

TEST_F(LastRunTest, SaysWhatItKnows) {
  WriteSummary(Counts(3, 0));
  WriteReport("changed", false, false);
  const orch::v1::PuppetRunDigest digest = *last_.Read(paths_);
  EXPECT_EQ(digest.environment(), "staging");
  EXPECT_EQ(digest.configuration_version(), "7");
  EXPECT_EQ(digest.end_time().seconds(), 1500);
  EXPECT_EQ(digest.length().seconds(), 2);
  EXPECT_EQ(digest.transaction_uuid(), "03a6e82c");
  EXPECT_EQ(digest.resources().changed(), 3);
}

TEST_F(LastRunTest, AReportOfAnotherRunSaysNothing) {
  WriteSummary(Counts(0, 0));
  WriteReport("failed", true, true, /*version=*/6);
  EXPECT_EQ(Verdict(), orch::v1::PUPPET_RUN_VERDICT_UNCHANGED);
  EXPECT_EQ(last_.Read(paths_)->transaction_uuid(), "");
}

TEST_F(LastRunTest, WithoutAReportTheSummaryDecides) {
  WriteSummary(Counts(2, 0));
  EXPECT_EQ(Verdict(), orch::v1::PUPPET_RUN_VERDICT_CHANGED);
}

}  // namespace
}  // namespace orch::nodeagent
