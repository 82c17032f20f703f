// SPDX-License-Identifier: Apache-2.0
// Programs that give facts: real ones, and such as nobody would want.
#include <signal.h>

#include <cerrno>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "base/config.h"
#include "nodeagent/facts/facts_fixture.h"
#include "nodeagent/process/process.h"

namespace orch::nodeagent {
namespace {

// The pid that a script wrote into a file.
pid_t PidIn(const std::string& path) {
  const auto text = base::ReadFile(path);
  pid_t pid = 0;
  return text.ok() && absl::SimpleAtoi(absl::StripSuffix(*text, "\n"), &pid) ? pid : 0;
}
bool IsGone(pid_t pid) { return pid > 0 && !Identify(pid).has_value(); }

struct Hostile {
  const char* name;
  const char* script;
  const char* error;  // in it
};
class HostilePrograms : public FactsTest, public testing::WithParamInterface<Hostile> {};

TEST_P(HostilePrograms, AreNamedAndTheFactsOfBeforeStay) {
  Facter("echo '{\"a\": 1}'")->mutable_timeout()->set_seconds(1);
  Start();
  ASSERT_TRUE(facts_->errors().empty());
  Facter("echo $$ >" + directory_ + "/pid\n" + GetParam().script);
  const int before = changes_;
  facts_->Refresh();
  // Meanwhile all else works.
  Write("facts.d/b.txt", "b=1\n");
  ASSERT_TRUE(Until([&] { return Has("b"); }));
  ASSERT_TRUE(Until([&] { return !facts_->errors().empty(); }));
  EXPECT_NE(ErrorOf("facter").find(GetParam().error), std::string::npos) << ErrorOf("facter");
  EXPECT_EQ(facts_->facts()->at("a"), 1);
  EXPECT_GT(changes_, before);
  EXPECT_TRUE(Until([&] { return IsGone(PidIn(directory_ + "/pid")); }));
}

const Hostile kHostile[] = {
    {"Fails", "echo broken >&2; exit 3", "exit code 3: broken"},
    {"DiesOfASignal", "kill -SEGV $$", "signal 11"},
    {"PrintsNoFacts", "echo no facts here", "what it printed is no facts: "},
    {"SaysSomethingFirst", "echo deprecated; echo '{\"a\": \"root=/dev/sda\"}'",
     "what it printed is no facts: not JSON: "},
    {"PrintsHalfOfIt", "echo '{\"a\": 2, \"b\": '",
     "what it printed is no facts: not JSON: parse error at line "},
    {"PrintsAList", "echo '[1]'", "facts are a JSON object, this is array"},
    {"NeverEnds", "exec sleep 600", "no end after 1s"},
    {"IgnoresSigterm", "trap '' TERM HUP INT; while :; do sleep 600; done", "no end after 1s"},
    {"PrintsForEver", "exec yes", "more than 1048576 bytes of output"},
    {"ComplainsForEver", "exec yes >&2", "more than 1048576 bytes of error output"},
    {"ReadsItsInput", "read line || exit 9", "exit code 9"},
};
INSTANTIATE_TEST_SUITE_P(Facts, HostilePrograms, testing::ValuesIn(kHostile),
                         [](const auto& info) { return info.param.name; });

TEST_F(FactsTest, AChildThatHoldsTheOutputIsNotWaitedForAndEnds) {
  FactSource* const facter =
      Facter("sleep 600 & echo $! >" + directory_ + "/child; trap '' TERM; echo '{\"a\": 1}'");
  facter->mutable_timeout()->set_seconds(60);
  const absl::Time begin = absl::Now();
  Start();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(30));
  EXPECT_EQ(facts_->facts()->at("a"), 1);
  EXPECT_TRUE(Until([&] { return IsGone(PidIn(directory_ + "/child")); }));
}

TEST_F(FactsTest, ATimeoutKillsTheWholeGroup) {
  Facter("(trap '' TERM; sleep 600) & echo $! >" + directory_ + "/child; sleep 600")
      ->mutable_timeout()
      ->set_seconds(1);
  Start();
  EXPECT_NE(ErrorOf("facter"), "");
  EXPECT_TRUE(Until([&] { return IsGone(PidIn(directory_ + "/child")); }));
}

TEST_F(FactsTest, ExecutablesOfADirectoryHaveATimeoutEach) {
  config_.mutable_sources(0)->mutable_timeout()->set_seconds(1);
  Script("facts.d/10-hangs", "exec sleep 600");
  Script("facts.d/20-works", "echo works=yes");
  Script("facts.d/30-hangs", "exec sleep 600");
  Script("facts.d/40-fails", "exit 1");
  Write("facts.d/50-open", "#!/bin/sh\necho open=yes\n", 0777);
  Start();
  EXPECT_EQ(facts_->facts()->at("works"), "yes");
  EXPECT_FALSE(Has("open"));
  EXPECT_EQ(facts_->errors().size(), 4u);
  EXPECT_NE(ErrorOf(directory_ + "/facts.d/30-hangs").find("no end after 1s"), std::string::npos);
  EXPECT_EQ(ErrorOf(directory_ + "/facts.d/50-open"), "not run: others may write it (mode 0777)");
}

TEST_F(FactsTest, ManyRefreshesMakeFewRuns) {
  Facter("echo x >>" + directory_ + "/ran; echo '{\"a\": 1}'");
  Start();
  for (int i = 0; i < 100; i++) facts_->Refresh();
  const auto runs = [&] { return base::ReadFile(directory_ + "/ran")->size() / 2; };
  ASSERT_TRUE(Until([&] { return runs() >= 2; }));
  Write("facts.d/b.txt", "b=1\n");
  ASSERT_TRUE(Until([&] { return Has("b") && facts_->settled(); }));
  EXPECT_LE(runs(), 4u);
}

TEST_F(FactsTest, AProgramThatIsGoneIsNamed) {
  Facter("echo '{\"a\": 1}'");
  Start();
  std::filesystem::remove(directory_ + "/facter");
  facts_->Refresh();
  ASSERT_TRUE(Until([&] { return ErrorOf("facter") != ""; }));
  EXPECT_EQ(ErrorOf("facter"), "no program: " + directory_ + "/facter");
  EXPECT_TRUE(Has("a"));
}

// The packages that give facts on Debian.
TEST_F(FactsTest, RealFacterAndRealOhai) {
  config_.clear_sources();
  FactSource* const facter = config_.add_sources();
  facter->set_facter("auto");
  FactSource* const ohai = config_.add_sources();
  ohai->set_ohai("auto");
  ohai->set_below("ohai");
  Open();
  facts_->Start([this] { changes_++; });
  const absl::Time limit = absl::Now() + absl::Seconds(120);
  while (changes_ == 0 && absl::Now() < limit) {
    io_.restart();
    io_.run_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(ErrorOf("facter"), "");
  EXPECT_EQ(ErrorOf("ohai"), "");
  ASSERT_NE(facts_->facts(), nullptr);
  const nlohmann::json& facts = *facts_->facts();
  EXPECT_EQ(facts.at("os").at("family"), "Debian");
  EXPECT_TRUE(facts.at("processors").at("count").is_number_integer());
  EXPECT_EQ(facts.at("ohai").at("platform_family"), "debian");
  EXPECT_TRUE(facts.at("ohai").at("packages").is_object());
  EXPECT_GT(facts_->json().size(), 20'000u);
  // Read again, nothing is new, unless somebody changes this machine just now.
  std::string digest;
  for (int i = 0; i < 5 && digest != facts_->digest(); i++) {
    digest = facts_->digest();
    const absl::Time before = facts_->read_time();
    clock_.Advance(absl::Seconds(5));
    facts_->Refresh();
    const absl::Time end = absl::Now() + absl::Seconds(60);
    while ((facts_->read_time() == before || !facts_->settled()) && absl::Now() < end) {
      io_.restart();
      io_.run_for(std::chrono::milliseconds(20));
    }
  }
  EXPECT_EQ(facts_->digest(), digest);
}

}  // namespace
}  // namespace orch::nodeagent
