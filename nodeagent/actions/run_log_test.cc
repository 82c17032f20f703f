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
  EXPECT_EQ(log.omitted(), 5u);
}

TEST_F(RunLogTest, AnEndlessLineIsLeftOutAndTheNextOneRead) {
  Write(absl::StrCat("{\"level\":\"notice\",\"message\":\"", std::string(1 << 20, 'x')));
  RunLog log(path_, LogLevelRank("notice"));
  for (int i = 0; i < 10; i++) EXPECT_TRUE(log.ReadMore().empty());
  Write("\"}\n" + Line("notice", "Puppet", "next"));
  const std::vector<orch::v1::PuppetRunProgress> lines = log.ReadMore();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].message(), "next");
  EXPECT_EQ(log.omitted(), 1u);
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

TEST_F(RunLogTest, TimesAreComparedHoweverTheyAreWritten) {
  Write(Line("notice", "Puppet", "x", "2017-07-29T23:17:01.490934000+00:00"));
  EXPECT_TRUE(SearchRunLog(path_, {"2017-07-29 23:17:01.490934 +00:00"}).has_a_time);
  EXPECT_TRUE(SearchRunLog(path_, {"2017-07-30 01:17:01.490934 +02:00"}).has_a_time);
  EXPECT_FALSE(SearchRunLog(path_, {"2017-07-29 23:17:01.490935 +00:00", "never"}).has_a_time);
}

TEST_F(RunLogTest, ALogWithoutEndOfLineTakesNoMemory) {
  Write("x");
  std::filesystem::resize_file(path_, uint64_t{500} << 20);
  EXPECT_FALSE(SearchRunLog(path_, {}).has_lines);
}

TEST_F(RunLogTest, ASearchFindsErrorsTimesAndReasons) {
  const std::string first = "2026-11-23T12:21:56.000000001+00:00";
  const std::string second = "2026-11-23T12:21:57.000000001+00:00";
  Write(Line("err", "Facter", "noise", first) + Line("notice", "Puppet", "x", second));
  EXPECT_FALSE(SearchRunLog(path_, {first}).has_a_time);
  EXPECT_TRUE(SearchRunLog(path_, {first, second}).has_a_time);
  EXPECT_TRUE(SearchRunLog(path_, {}).has_lines);
  EXPECT_TRUE(SearchRunLog(path_, {}).errors.empty());
  for (int i = 0; i < 25; i++) Write(Line("err", "/Exec[x]", absl::StrCat("failed ", i)));
  const RunLogSummary failed = SearchRunLog(path_, {});
  ASSERT_EQ(failed.errors.list().size(), 20u);
  // The first, which is most often the cause, and the last ones.
  EXPECT_EQ(ErrorLine(failed.errors.list().front()), "/Exec[x]: failed 0");
  EXPECT_EQ(ErrorLine(failed.errors.list()[1]), "/Exec[x]: failed 6");
  EXPECT_EQ(ErrorLine(failed.errors.list().back()), "/Exec[x]: failed 24");
  EXPECT_EQ(failed.errors.list().back().line(), 7u);
  EXPECT_FALSE(failed.says_environment);
  Write(Line("err", "Puppet",
             "Not using catalog because its environment 'production' does not match agent "
             "specified environment 'nosuch' and strict_environment_mode is set"));
  EXPECT_TRUE(SearchRunLog(path_, {}).says_environment);
  std::filesystem::remove(path_);
  Write(Line("err", "Puppet",
             "Failed to apply catalog: Environment 'nosuch' not found on server, aborting run."));
  EXPECT_TRUE(SearchRunLog(path_, {}).says_environment);
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
