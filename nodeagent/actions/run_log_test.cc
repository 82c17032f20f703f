// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/actions/run_log.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace orch::nodeagent {
namespace {

class RunLogTest : public testing::Test {
 protected:
  RunLogTest() : path_(testing::TempDir() + "/run_log_test.jsonl") {
    std::filesystem::remove(path_);
  }
  void Write(const std::string& text) { std::ofstream(path_, std::ios::app) << text; }
  static std::string Line(const std::string& level, const std::string& source,
                          const std::string& message, const std::string& time = "t") {
    return absl::StrCat(R"({"level":")", level, R"(","source":")", source, R"(","message":")",
                        message, R"(","time":")", time, "\",\"line\":7}\n");
  }

  std::string path_;
};

TEST_F(RunLogTest, ReadsLinesAsTheyGrow) {
  RunLog log(path_, LogLevelRank("notice"));
  EXPECT_TRUE(log.ReadMore().empty());
  const std::string line = Line("notice", "Puppet", "one");
  Write(line.substr(0, 10));
  EXPECT_TRUE(log.ReadMore().empty());
  Write(line.substr(10) + Line("debug", "Puppet", "no") + Line("err", "Facter", "no") +
        "garbage\n[1]\n" + Line("err", "/File[x]", "two"));
  const std::vector<orch::v1::PuppetRunProgress> lines = log.ReadMore();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].message(), "one");
  EXPECT_EQ(lines[0].line(), 7u);
  EXPECT_EQ(lines[1].source(), "/File[x]");
  EXPECT_TRUE(log.ReadMore().empty());
}

TEST_F(RunLogTest, LevelsAreAChoice) {
  Write(Line("debug", "Puppet", "d") + Line("info", "Puppet", "i") +
        Line("warning", "Puppet", "w"));
  EXPECT_EQ(RunLog(path_, LogLevelRank("debug")).ReadMore().size(), 3u);
  EXPECT_EQ(RunLog(path_, LogLevelRank("info")).ReadMore().size(), 2u);
  EXPECT_EQ(RunLog(path_, LogLevelRank("notice")).ReadMore().size(), 1u);
}

TEST_F(RunLogTest, TooManyLinesEndWithANote) {
  for (int i = 0; i < kProgressMax + 5; i++) Write(Line("notice", "Puppet", absl::StrCat(i)));
  RunLog log(path_, LogLevelRank("notice"));
  std::vector<orch::v1::PuppetRunProgress> all;
  for (int i = 0; i < 10; i++) {
    for (const auto& line : log.ReadMore()) all.push_back(line);
  }
  ASSERT_EQ(all.size(), static_cast<size_t>(kProgressMax) + 1);
  EXPECT_EQ(all[kProgressMax - 1].message(), absl::StrCat(kProgressMax - 1));
  EXPECT_EQ(all.back().source(), "orch");
}

TEST_F(RunLogTest, AnEndlessLineIsLeftOutAndTheNextOneRead) {
  Write(absl::StrCat("{\"level\":\"notice\",\"message\":\"", std::string(1 << 20, 'x')));
  RunLog log(path_, LogLevelRank("notice"));
  for (int i = 0; i < 10; i++) EXPECT_TRUE(log.ReadMore().empty());
  Write("\"}\n" + Line("notice", "Puppet", "next"));
  const std::vector<orch::v1::PuppetRunProgress> lines = log.ReadMore();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].message(), "next");
}

TEST_F(RunLogTest, GoesOnWhereItWas) {
  RunLog before(path_, LogLevelRank("notice"));
  Write(Line("notice", "Puppet", "one") + "{\"level\":\"not");
  EXPECT_EQ(before.ReadMore().size(), 1u);
  RunLog after(path_, LogLevelRank("notice"));
  after.Resume(before.position());
  Write("ice\",\"message\":\"two\"}\n");
  const std::vector<orch::v1::PuppetRunProgress> lines = after.ReadMore();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].message(), "two");
}

TEST_F(RunLogTest, ASearchFindsErrorsTimesAndReasons) {
  Write(Line("err", "Facter", "noise", "t1") + Line("notice", "Puppet", "x", "t2"));
  EXPECT_FALSE(SearchRunLog(path_, {"t1"}).has_a_time);
  EXPECT_TRUE(SearchRunLog(path_, {"t0", "t2"}).has_a_time);
  EXPECT_TRUE(SearchRunLog(path_, {}).has_lines);
  EXPECT_TRUE(SearchRunLog(path_, {}).errors.empty());
  for (int i = 0; i < 25; i++) Write(Line("err", "/Exec[x]", absl::StrCat("failed ", i)));
  const RunLogSummary failed = SearchRunLog(path_, {});
  ASSERT_EQ(failed.errors.size(), 20u);
  EXPECT_EQ(failed.errors.back(), "/Exec[x]: failed 24");
  Write(Line("notice", "Puppet",
             "Run of Puppet configuration client already in progress; skipping  (/lock exists)"));
  EXPECT_TRUE(SearchRunLog(path_, {}).says_locked);
  Write(Line("notice", "Puppet",
             "Skipping run of Puppet configuration client; administratively disabled (Reason: x)"));
  EXPECT_TRUE(SearchRunLog(path_, {}).says_disabled);
  EXPECT_FALSE(SearchRunLog(path_ + ".none", {}).has_lines);
}

}  // namespace
}  // namespace orch::nodeagent
