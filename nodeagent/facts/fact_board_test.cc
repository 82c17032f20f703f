// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/facts/fact_board.h"

#include <gtest/gtest.h>

namespace orch::nodeagent {
namespace {

class FactBoardTest : public testing::Test {
 protected:
  FactBoardTest() {
    config_.add_sources()->set_facter("/opt/facter");
    config_.add_sources()->set_directory("/facts.d");
    now_ = {absl::Hours(1), absl::FromUnixSeconds(1'800'000'000)};
    Open();
  }
  void Open() { board_ = std::make_unique<FactBoard>(config_); }

  void Pass(absl::Duration time) { now_ = {now_.steady + time, now_.wall + time}; }
  Look Program(const std::string& name, bool changed = false) {
    Look look;
    look.names = {name};
    look.programs[name] = {"/opt/facter", changed, absl::FromUnixSeconds(1'000'000'000)};
    look.seen[name] = {1, 2, 3, 4, 5};
    return look;
  }
  Look File(const std::string& name, absl::StatusOr<std::string> facts) {
    Look look;
    look.names = {name};
    look.read.emplace(name, std::move(facts));
    return look;
  }
  size_t RunsOf(Look look, LookReason reason) {
    const size_t runs = board_->OnLook(0, std::move(look), reason, now_).size();
    for (size_t i = 0; i < runs; i++) board_->OnStart(0);
    return runs;
  }
  void Printed(absl::StatusOr<std::string> facts) {
    board_->OnPrinted(0, "", std::move(facts), now_);
  }
  std::string MergedText() {
    const MergeOrder order = board_->NextMerge();
    const Merged merged = Merge(order);
    board_->OnMerged(order, merged, now_);
    return merged.text;
  }
  std::string Errors() {
    std::string out;
    for (const auto& error : board_->errors()) out += error.source() + ": " + error.message() + ";";
    return out;
  }

  FactsConfig config_;
  base::Now now_;
  std::unique_ptr<FactBoard> board_;
};

TEST(FactBoardTextTest, OneOddByteCostsOneFact) {
  FactsConfig config;
  config.add_sources()->set_file("/facts.json");
  FactBoard board(config);
  Look look;
  look.names.insert("");
  look.read.emplace("", "{\"a\":1,\"os\":{\"name\":\"\xef\xbf\xbd\"}}");
  board.OnLook(0, std::move(look), LookReason::kTimer, base::Now{absl::Seconds(1), absl::Now()});
  ASSERT_EQ(board.errors().size(), 1u);
  EXPECT_EQ(board.errors()[0].source(), "/facts.json");
  EXPECT_EQ(board.errors()[0].message(), "os.name: bytes that are not UTF-8 were replaced");
  EXPECT_TRUE(board.changed()) << "the rest is taken";
}

TEST_F(FactBoardTest, IsCompleteWhenEverybodyHasHadHisSay) {
  EXPECT_FALSE(board_->complete());
  EXPECT_EQ(RunsOf(Program(""), LookReason::kChange), 1u);
  board_->OnLook(1, File("/facts.d/a", "{\"b\":1}"), LookReason::kChange, now_);
  board_->OnLook(2, Look(), LookReason::kChange, now_);
  EXPECT_FALSE(board_->complete()) << "facter runs";
  Printed("{\"a\":1}");
  EXPECT_TRUE(board_->complete());
  EXPECT_TRUE(board_->changed());
  EXPECT_EQ(MergedText(), "{\"a\":1,\"b\":1}");
  EXPECT_FALSE(board_->changed());
  EXPECT_EQ(board_->read_time(), now_.wall);
}

TEST_F(FactBoardTest, ASourceThatHangsDoesNotHoldUpTheRest) {
  board_->OnLook(1, Look(), LookReason::kChange, now_);
  board_->OnLook(2, Look(), LookReason::kChange, now_);
  board_->OnLate(0, now_);
  EXPECT_TRUE(board_->complete());
  EXPECT_EQ(Errors(), "facter: its files can't be read: no answer of the file system;");
  RunsOf(Program(""), LookReason::kChange);
  EXPECT_EQ(Errors(), "");
}

TEST_F(FactBoardTest, WhatIsBeingWrittenHasNotHadItsSayButNotForEver) {
  RunsOf(Look(), LookReason::kChange);
  board_->OnLook(2, Look(), LookReason::kChange, now_);
  Look look;
  look.names = look.unsettled = {"/facts.d/a"};
  for (absl::Duration time; time < kSettleMax; time += absl::Seconds(1)) {
    board_->OnLook(1, look, LookReason::kChange, now_);
    EXPECT_FALSE(board_->complete());
    EXPECT_TRUE(board_->NextLook(1, LookReason::kChange, now_).had_time.empty());
    Pass(absl::Seconds(1));
  }
  EXPECT_TRUE(board_->NextLook(1, LookReason::kChange, now_).had_time.contains("/facts.d/a"));
  board_->OnLook(1, File("/facts.d/a", absl::UnknownError("broken")), LookReason::kChange, now_);
  EXPECT_TRUE(board_->complete());
  EXPECT_EQ(Errors(), "/facts.d/a: broken;");
}

TEST_F(FactBoardTest, FailureKeepsTheLastGoodAndItsTime) {
  RunsOf(Program(""), LookReason::kChange);
  Printed("{\"a\":1}");
  EXPECT_EQ(MergedText(), "{\"a\":1}");
  const uint64_t version = board_->errors_version();
  const absl::Time since = now_.wall;
  for (const char* why : {"exit code 1", "exit code 2", "exit code 3"}) {
    EXPECT_EQ(RunsOf(Program(""), LookReason::kAsked), 1u);
    Printed(absl::UnknownError(why));
    EXPECT_EQ(Errors(), std::string("facter: ") + why + ";");
    EXPECT_EQ(board_->errors()[0].since().seconds(), absl::ToUnixSeconds(since));
    EXPECT_EQ(board_->errors_version(), version + 1) << "told once";
    Pass(absl::Minutes(5));
  }
  EXPECT_EQ(MergedText(), "{\"a\":1}");
  RunsOf(Program(""), LookReason::kAsked);
  Printed("{\"a\":2}");
  EXPECT_EQ(Errors(), "");
  EXPECT_EQ(board_->errors_version(), version + 2);
  EXPECT_EQ(MergedText(), "{\"a\":2}");
}

TEST_F(FactBoardTest, ProgramsRunOnTheTimerAndSoonerIfTheyFailed) {
  RunsOf(Program(""), LookReason::kChange);
  EXPECT_EQ(board_->due(0) - now_.steady, kFactsIntervalDefault);
  Printed("{}");
  EXPECT_EQ(RunsOf(Program(""), LookReason::kChange), 0u) << "nothing has changed";
  EXPECT_EQ(RunsOf(Program("", true), LookReason::kChange), 1u) << "it was replaced";
  Pass(kFactsIntervalDefault);
  Printed("{}");
  Pass(kFactsIntervalDefault - absl::Seconds(2));
  EXPECT_EQ(RunsOf(Program(""), LookReason::kTimer), 1u);
  Printed(absl::UnknownError("x"));
  absl::Duration wait = kFactsRetryMin;
  for (int i = 0; i < 10; i++) {
    EXPECT_EQ(board_->due(0) - now_.steady, std::min(wait, kFactsIntervalDefault)) << i;
    Pass(board_->due(0) - now_.steady);
    EXPECT_EQ(RunsOf(Program(""), LookReason::kTimer), 1u);
    Printed(absl::UnknownError("x"));
    wait *= 2;
  }
}

TEST_F(FactBoardTest, SeveralProgramsThatFailAreEachTriedAgainAsSoonAsOne) {
  Look look;
  for (const char* name : {"/facts.d/a", "/facts.d/b", "/facts.d/c", "/facts.d/d"}) {
    look.names.insert(name);
    look.programs[name] = {name, false, absl::FromUnixSeconds(1'000'000'000)};
    look.seen[name] = {1, 2, 3, 4, 5};
  }
  absl::Duration wait = kFactsRetryMin;
  for (int round = 0; round < 4; round++) {
    const std::vector<std::string> run = board_->OnLook(1, look, LookReason::kTimer, now_);
    EXPECT_EQ(run.size(), 4u);
    for (const std::string& name : run) {
      board_->OnStart(1);
      board_->OnPrinted(1, name, absl::UnknownError("x"), now_);
    }
    EXPECT_EQ(board_->due(1) - now_.steady, wait) << round;
    Pass(wait);
    wait *= 2;
  }
}

TEST_F(FactBoardTest, YoungFactsSurviveARestart) {
  RunsOf(Program(""), LookReason::kChange);
  Printed("{\"a\":1}");
  board_->OnLook(1, File("/facts.d/a.txt", "{\"b\":1}"), LookReason::kChange, now_);
  EXPECT_EQ(MergedText(), "{\"a\":1,\"b\":1}");
  board_->OnLook(1, File("/facts.d/a.txt", absl::UnknownError("broken")), LookReason::kChange,
                 now_);
  const int64_t since = board_->errors()[0].since().seconds();
  const std::string cache = board_->ToCache();
  const absl::Time read = board_->read_time();

  Open();
  Pass(absl::Minutes(10));
  ASSERT_TRUE(board_->FromCache(cache, now_));
  EXPECT_EQ(board_->read_time(), read);
  EXPECT_EQ(Errors(), "/facts.d/a.txt: broken;");
  EXPECT_EQ(MergedText(), "{\"a\":1,\"b\":1}");
  EXPECT_EQ(RunsOf(Program(""), LookReason::kChange), 0u);
  EXPECT_EQ(board_->due(0) - now_.steady, kFactsIntervalDefault - absl::Minutes(10));
  board_->OnLook(1, File("/facts.d/a.txt", absl::UnknownError("broken")), LookReason::kChange,
                 now_);
  EXPECT_EQ(board_->errors()[0].since().seconds(), since) << "it is the same failure";

  Open();
  Pass(absl::Minutes(30));
  ASSERT_TRUE(board_->FromCache(cache, now_));
  EXPECT_EQ(RunsOf(Program(""), LookReason::kChange), 1u) << "too old";
}

TEST_F(FactBoardTest, AFailureBeforeTheRestartIsTriedAgainAtOnce) {
  RunsOf(Program(""), LookReason::kChange);
  Printed("{\"a\":1}");
  MergedText();
  RunsOf(Program(""), LookReason::kAsked);
  Printed(absl::UnknownError("x"));
  const std::string cache = board_->ToCache();
  Open();
  ASSERT_TRUE(board_->FromCache(cache, now_));
  EXPECT_EQ(RunsOf(Program(""), LookReason::kChange), 1u);
  EXPECT_EQ(Errors(), "facter: x;");
  Printed("{\"a\":1}");
  board_->OnLook(1, Look(), LookReason::kChange, now_);
  board_->OnLook(2, Look(), LookReason::kChange, now_);
  EXPECT_EQ(Errors(), "");
}

TEST_F(FactBoardTest, OtherCachesAreOfNoUse) {
  for (const char* cache : {"", "x", "[]", "{}", "{\"facts_cache\":2}", "{\"facts\":\"{}\"}"}) {
    EXPECT_FALSE(board_->FromCache(cache, now_)) << cache;
  }
  EXPECT_TRUE(board_->FromCache(
      R"({"facts_cache":1,"failing":{"a":"x"},"sources":{"facter":{"":{"time_us":"x","facts":{}},"y":1},"/facts.d":[]}})",
      now_));
  EXPECT_EQ(board_->read_time(), absl::InfinitePast());
}

TEST_F(FactBoardTest, AFileThatIsGoneTakesItsFactsAlong) {
  board_->OnLook(1, File("/facts.d/a.txt", "{\"b\":1}"), LookReason::kChange, now_);
  EXPECT_EQ(MergedText(), "{\"b\":1}");
  Look failed;
  failed.status = absl::UnavailableError("read directory /facts.d: Input/output error");
  board_->OnLook(1, failed, LookReason::kChange, now_);
  EXPECT_EQ(MergedText(), "{\"b\":1}") << "but not if that can't be told";
  EXPECT_EQ(Errors(), "/facts.d: read directory /facts.d: Input/output error;");
  board_->OnLook(1, Look(), LookReason::kChange, now_);
  EXPECT_TRUE(board_->changed());
  EXPECT_EQ(MergedText(), "{}");
  EXPECT_EQ(Errors(), "");
}

TEST_F(FactBoardTest, PuppetsClassesMayBeMissingOthersNot) {
  config_.add_class_files("/chef");
  Open();
  board_->SetClassfile("/classes.txt");
  EXPECT_EQ(board_->plan(2).paths, (std::vector<std::string>{"/chef", "/classes.txt"}));
  Look look;
  look.names = {"/chef", "/classes.txt"};
  look.read.emplace("/chef", absl::NotFoundError("stat /chef"));
  look.read.emplace("/classes.txt", absl::NotFoundError("stat /classes.txt"));
  board_->OnLook(2, look, LookReason::kChange, now_);
  EXPECT_EQ(Errors(), "/chef: stat /chef;");
  board_->SetClassfile("/other.txt");
  EXPECT_EQ(board_->plan(2).paths, (std::vector<std::string>{"/chef", "/other.txt"}));
}

TEST_F(FactBoardTest, ClassesStayWhilePuppetDoesNotSayWhereTheyAre) {
  board_->SetClassfile("/classes.txt");
  board_->OnLook(2, File("/classes.txt", "[\"role::db\"]"), LookReason::kChange, now_);
  MergedText();
  board_->OnNoClassfile("exit code 1", true, now_);
  EXPECT_EQ(Errors(), "classes: exit code 1;");
  board_->OnLook(2, File("/classes.txt", "[\"role::db\"]"), LookReason::kChange, now_);
  EXPECT_EQ(Merge(board_->NextMerge()).classes, std::vector<std::string>{"role::db"});
  const std::string cache = board_->ToCache();

  Open();
  ASSERT_TRUE(board_->FromCache(cache, now_));
  board_->OnNoClassfile("no such program", false, now_);
  EXPECT_EQ(Errors(), "classes: no such program;") << "there were some";
  board_->OnLook(2, Look(), LookReason::kChange, now_);
  EXPECT_EQ(Merge(board_->NextMerge()).classes, std::vector<std::string>{"role::db"});
  board_->SetClassfile("/other.txt");
  board_->OnLook(2, File("/other.txt", "[\"role::web\"]"), LookReason::kChange, now_);
  EXPECT_EQ(Merge(board_->NextMerge()).classes, std::vector<std::string>{"role::web"});
}

TEST_F(FactBoardTest, ANodeMayDoWithoutPuppet) {
  config_.add_class_files("/chef");
  Open();
  board_->OnLook(2, File("/chef", "[\"role.web\"]"), LookReason::kChange, now_);
  board_->OnNoClassfile("no such program", false, now_);
  EXPECT_EQ(Errors(), "");
}

TEST_F(FactBoardTest, WhatIsTooLargeIsNamedUntilItFits) {
  config_.set_max_bytes(100);
  Open();
  const std::string large = "{\"b\":\"" + std::string(100, 'x') + "\"}";
  board_->OnLook(1, File("/facts.d/a.txt", large), LookReason::kChange, now_);
  EXPECT_EQ(MergedText(), "{}");
  EXPECT_EQ(Errors().rfind("/facts.d/a.txt: 108 bytes of facts: with the 1 of ", 0), 0u)
      << Errors();
  Pass(absl::Minutes(1));
  EXPECT_EQ(MergedText(), "{}");
  EXPECT_NE(Errors(), "") << "another merge changes nothing of it";
  board_->OnLook(1, File("/facts.d/a.txt", "{\"b\":1}"), LookReason::kChange, now_);
  EXPECT_EQ(MergedText(), "{\"b\":1}");
  EXPECT_EQ(Errors(), "");
}

TEST_F(FactBoardTest, WhatFindsNoRoomForAWhileComesBack) {
  config_.set_max_bytes(200);
  Open();
  RunsOf(Program(""), LookReason::kChange);
  Printed("{\"a\":1}");
  const std::string file = "{\"b\":\"" + std::string(100, 'x') + "\"}";
  board_->OnLook(1, File("/facts.d/b.txt", file), LookReason::kChange, now_);
  EXPECT_EQ(MergedText(), "{\"a\":1," + file.substr(1));
  RunsOf(Program(""), LookReason::kAsked);
  Printed("{\"a\":\"" + std::string(150, 'y') + "\"}");
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(MergedText().find("\"b\""), std::string::npos);
    EXPECT_EQ(Errors().rfind("/facts.d/b.txt: ", 0), 0u) << Errors();
  }
  RunsOf(Program(""), LookReason::kAsked);
  Printed("{\"a\":2}");
  EXPECT_EQ(MergedText(), "{\"a\":2," + file.substr(1)) << "nobody had to read it again";
  EXPECT_EQ(Errors(), "");
}

TEST_F(FactBoardTest, ManyErrorsAreCounted) {
  Look look;
  for (int i = 0; i < 1000; i++) {
    const std::string name = "/facts.d/" + std::to_string(i);
    look.names.insert(name);
    look.read.emplace(name, absl::InvalidArgumentError(std::string(10'000, 'x')));
  }
  board_->OnLook(1, look, LookReason::kChange, now_);
  const auto errors = board_->errors();
  ASSERT_EQ(errors.size(), kFactErrorsMax + 1);
  EXPECT_EQ(errors.back().message(), "and 984 more sources fail");
  size_t bytes = 0;
  for (const auto& error : errors) bytes += error.ByteSizeLong();
  EXPECT_LT(bytes, 8000u);
}

TEST_F(FactBoardTest, WhatSourcesHoldIsBounded) {
  Look look;
  for (int i = 0; i < 10; i++) {
    const std::string name = "/facts.d/" + std::to_string(i);
    look.names.insert(name);
    look.seen[name] = {1, 2, 3, 4, 5};
    look.read.emplace(name, "{\"b\":\"" + std::string(1'000'000, 'x') + "\"}");
  }
  board_->OnLook(1, look, LookReason::kChange, now_);
  EXPECT_NE(Errors().find("all sources together hold more than 8388608"), std::string::npos)
      << Errors();
  MergedText();
  // Nothing is read but what has changed; what found no room is asked for again.
  const auto seen = board_->NextLook(1, LookReason::kChange, now_).seen;
  EXPECT_TRUE(seen.contains("/facts.d/0"));
  EXPECT_FALSE(seen.contains("/facts.d/9"));
}

}  // namespace
}  // namespace orch::nodeagent
