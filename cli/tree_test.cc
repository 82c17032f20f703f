// SPDX-License-Identifier: Apache-2.0
// The command tree as a whole, and what is made from it: completion and the manual page.
#include "cli/tree.h"

#include <gtest/gtest.h>

#include <functional>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/completion.h"
#include "cli/examples.h"
#include "cli/man.h"
#include "cli/suggest.h"

namespace orch::cli {
namespace {

using Words = std::vector<std::string>;

class TreeTest : public testing::Test {
 protected:
  TreeTest() { AddCommands(app_, session_); }
  Words Completed(const Words& words, NameSource* names = nullptr) {
    Words out;
    for (const Candidate& one : Complete(app_, session_.sort_keys, words, names)) {
      out.push_back(one.word);
    }
    return out;
  }
  static std::vector<const CLI::App*> Below(const CLI::App& command) {
    return command.get_subcommands([](const CLI::App*) { return true; });
  }
  void ForEach(const CLI::App& command, const std::function<void(const CLI::App&)>& visit) {
    visit(command);
    for (const CLI::App* sub : Below(command)) ForEach(*sub, visit);
  }

  std::ostringstream out_, err_;
  Session session_{GlobalOptions(), Terminal{out_, err_}, nullptr};
  CLI::App app_{"push Puppet runs", "orchctl"};
};

TEST_F(TreeTest, CompletesCommandsAndFlags) {
  EXPECT_EQ(Completed({"inv"}), (Words{"inventory"}));
  EXPECT_EQ(Completed({"node", ""}), (Words{"list", "show"}));
  EXPECT_EQ(Completed({"node", "list", "--sta"}), (Words{"--stale"}));
  EXPECT_EQ(Completed({"node", "list", "--sort"}), (Words{"--sort-by"}));
  EXPECT_EQ(Completed({"inventory", "--col"}), (Words{"--collective", "--color", "--columns"}));
  EXPECT_EQ(Completed({"nonsense", "--no-h"}), (Words{"--no-headers"}));
  EXPECT_FALSE(Completed({}).empty());
}

TEST_F(TreeTest, AJobsFlagsAreRefusedWhereNoJobIsMade) {
  const auto check = [](const std::string& line) {
    std::ostringstream out, err;
    Session session{GlobalOptions(), Terminal{out, err}, nullptr};
    CLI::App app("push Puppet runs", "orchctl");
    AddCommands(app, session);
    app.parse(line);
    return CheckJobFlags(app);
  };
  EXPECT_TRUE(check("puppet run --dry-run -F a=b").ok());
  EXPECT_TRUE(check("ping web1 web2 --at-most 3").ok());
  EXPECT_TRUE(check("job list").ok());
  for (const char* line :
       {"job cancel x --dry-run", "--dry-run job cancel x", "job list --expect-nodes 3",
        "context list --dry-run", "node list --tolerate disabled", "version --dry-run"}) {
    EXPECT_EQ(check(line).code(), absl::StatusCode::kInvalidArgument) << line;
  }
  EXPECT_EQ(
      check("job cancel x --dry-run").message(),
      "--dry-run means nothing for `orchctl job cancel`: it belongs to commands that ask nodes");
}

TEST_F(TreeTest, HelpIsTheHelpOfTheCommand) {
  EXPECT_EQ(*HelpOf(app_, {}), app_.help());
  EXPECT_TRUE(absl::StrContains(app_.help(), "the same as --help of the command"));
  app_.parse("help puppet run");
  EXPECT_EQ(session_.run(), kExitOk);
  EXPECT_TRUE(absl::StrContains(out_.str(), "orchctl puppet run")) << out_.str();
  EXPECT_TRUE(absl::StrContains(out_.str(), "--noop"));
  app_.parse("help puppet rnu");
  EXPECT_EQ(session_.run(), kExitUsage);
  EXPECT_TRUE(absl::StrContains(err_.str(), "did you mean `orchctl puppet run`?")) << err_.str();
  EXPECT_EQ(Completed({"help", "puppet", "r"}), (Words{"run"}));
}

TEST_F(TreeTest, WhatIsNotUnderstoodIsAnsweredWithTheNearest) {
  const auto said = [this](const Words& words) { return Misunderstood(app_, words, "refused"); };
  EXPECT_EQ(said({"pnig"}),
            "unknown command `pnig`; did you mean `orchctl ping`?\nsee `orchctl --help`");
  EXPECT_EQ(said({"-q", "puppet", "rnu"}),
            "unknown command `rnu`; did you mean `orchctl puppet run`?\n"
            "see `orchctl puppet --help`");
  EXPECT_EQ(said({"puppet", "run", "-F", "a=b", "--nop"}),
            "unknown flag `--nop`; did you mean `--noop`?\nsee `orchctl puppet run --help`");
  EXPECT_EQ(said({"target", "zzzzzz"}),
            "unknown command `zzzzzz`; orchctl target has test\nsee `orchctl target --help`");
  EXPECT_EQ(said({"doctor", "foo", "--tag"}),
            "unexpected argument `foo`\nsee `orchctl doctor --help`");
  EXPECT_EQ(said({"job", "cancel"}), "refused\nsee `orchctl job cancel --help`");
  for (const auto& [words, meant] : std::vector<std::pair<Words, std::string>>{
           {{"nodes"}, "orchctl node"},
           {{"jobs"}, "orchctl job"},
           {{"rpc"}, "orchctl run"},
           {{"mco"}, "orchctl"},
           {{"mco", "find"}, "orchctl find"},
           {{"mco", "puppet", "runonce"}, "orchctl puppet run"},
           {{"puppet", "runonce"}, "orchctl puppet run"},
           {{"puppet", "runall", "5"}, "orchctl puppet run --concurrency N"}}) {
    EXPECT_TRUE(absl::StrContains(said(words), absl::StrCat("did you mean `", meant, "`?")))
        << said(words);
  }
}

// Names of every kind.
class FixedNames : public NameSource {
 public:
  std::vector<Candidate> Names(NameKind kind, const std::string& of) override {
    switch (kind) {
      case NameKind::kNodes:
        return {{"web10.example.net", "present"}, {"web2.example.net", "gone"}};
      case NameKind::kFacts:
        return {{"os.family", ""}, {"role", ""}};
      case NameKind::kFactValues:
        return {{of == "os.family" ? "Debian" : "web", ""}};
      case NameKind::kClasses:
        return {{"nginx", ""}};
      case NameKind::kJobs:
        return {{"01M8R000AAAAAAAAAAAAAAAAAA", "puppet.run"}, {"last", ""}};
      case NameKind::kContexts:
        return {{"prod", "ctl:7443"}};
      case NameKind::kReasons:
        return {{"POLICY_DENIED", ""}};
    }
    return {};
  }
};

TEST_F(TreeTest, CompletesNamesThatTheControllerKnows) {
  FixedNames names;
  const Words nodes = {"web2.example.net", "web10.example.net"};
  EXPECT_EQ(Completed({"ping", "-I", "web"}, &names), nodes);
  EXPECT_EQ(Completed({"node", "show", ""}, &names), nodes);
  EXPECT_EQ(Completed({"puppet", "run", "web1"}, &names), (Words{"web10.example.net"}));
  EXPECT_EQ(Completed({"find", "-F", ""}, &names), (Words{"os.family=", "role="}));
  EXPECT_EQ(Completed({"find", "-F", "os.family=D"}, &names), (Words{"os.family=Debian"}));
  EXPECT_EQ(Completed({"facts", "o"}, &names), (Words{"os.family"}));
  EXPECT_EQ(Completed({"find", "-C", ""}, &names), (Words{"nginx"}));
  EXPECT_EQ(Completed({"job", "show", "l"}, &names), (Words{"last"}));
  EXPECT_EQ(Completed({"puppet", "run", "--last-failed", "01"}, &names),
            (Words{"01M8R000AAAAAAAAAAAAAAAAAA"}));
  EXPECT_EQ(Completed({"context", "use", ""}, &names), (Words{"prod"}));
  EXPECT_EQ(Completed({"--context", ""}, &names), (Words{"prod"}));
  EXPECT_EQ(Completed({"explain", "error", "P"}, &names), (Words{"POLICY_DENIED"}));
  EXPECT_EQ(Completed({"run", "puppet.run", "noo"}, &names), (Words{"noop="}));
}

TEST_F(TreeTest, CompletesValues) {
  EXPECT_EQ(Completed({"find", "-o", "js"}), (Words{"json", "jsonl"}));
  EXPECT_EQ(Completed({"find", "--output", "y"}), (Words{"yaml"}));
  EXPECT_EQ(Completed({"find", "--output=js"}), (Words{"--output=json", "--output=jsonl"}));
  EXPECT_EQ(Completed({"--color", ""}), (Words{"always", "auto", "never"}));
  EXPECT_EQ(Completed({"completion", ""}), (Words{"bash", "fish", "zsh"}));
  EXPECT_EQ(Completed({"run", "puppet.d"}), (Words{"puppet.disable"}));
  EXPECT_EQ(Completed({"find", "-A", "node.p"}), (Words{"node.ping"}));
  EXPECT_EQ(Completed({"facts", "--sort-by", ""}), (Words{"count", "value"}));
  EXPECT_EQ(Completed({"node", "list", "--sort-by", "state,-last-s"}), (Words{"state,-last-seen"}));
  EXPECT_EQ(Completed({"doctor", "--sort-by", ""}), (Words{}));
  // The value of a flag is no command, and a flag behind it is a flag again.
  EXPECT_EQ(Completed({"find", "-F", "node", "--no-inp"}), (Words{"--no-input"}));
  EXPECT_EQ(Completed({"--context", "node", "l"}), (Words{}));
  EXPECT_EQ(Completed({"find", "-q", "-o", "wi"}), (Words{"wide"}));
}

TEST_F(TreeTest, EveryCommandAndFlagIsExplainedAndInTheManual) {
  const std::string manual = absl::StrReplaceAll(ManPage(app_, "1.2.3"), {{"\\-", "-"}});
  ForEach(app_, [&](const CLI::App& command) {
    EXPECT_FALSE(command.get_description().empty()) << command.get_name();
    if (&command != &app_ && Below(command).empty()) {
      EXPECT_TRUE(absl::StrContains(manual, absl::StrCat(command.get_name(), "\n")))
          << command.get_name();
    }
    for (const CLI::Option* option : command.get_options()) {
      for (const std::string& name : option->get_lnames()) {
        EXPECT_TRUE(absl::StrContains(manual, absl::StrCat("--", name))) << name;
        EXPECT_FALSE(option->get_description().empty())
            << command.get_name() << " --" << name << " says nothing of itself";
      }
    }
  });
  EXPECT_TRUE(absl::StartsWith(manual, ".TH ORCHCTL 1"));
  for (const char* section : {".SH NAME", ".SH SYNOPSIS", ".SH COMMANDS", ".SH EXIT STATUS",
                              ".SS orchctl node list", ".SS orchctl puppet run"}) {
    EXPECT_TRUE(absl::StrContains(manual, absl::StrCat(section, "\n"))) << section;
  }
}

TEST_F(TreeTest, SortKeysAreThoseOfTheCommandsThatHaveRows) {
  ForEach(app_, [&](const CLI::App& command) {
    if (session_.sort_keys.count(&command) > 0) {
      EXPECT_TRUE(Below(command).empty()) << command.get_name();
    }
  });
  EXPECT_GE(session_.sort_keys.size(), 12u);
}

TEST_F(TreeTest, EachExampleIsUnderstood) {
  ForEach(app_, [this](const CLI::App& command) {
    if (!Below(command).empty() || command.get_parent() == nullptr) return;
    std::string path = command.get_name();
    for (const CLI::App* up = command.get_parent(); up->get_parent() != nullptr;
         up = up->get_parent()) {
      path = absl::StrCat(up->get_name(), " ", path);
    }
    for (const Example& example : ExamplesOf(path)) {
      for (const absl::string_view part : absl::StrSplit(example.line, '|')) {
        absl::string_view line = absl::StripAsciiWhitespace(part);
        if (!absl::ConsumePrefix(&line, "orchctl ")) continue;
        std::ostringstream out, err;
        Session session{GlobalOptions(), Terminal{out, err}, nullptr};
        CLI::App app("push Puppet runs", "orchctl");
        AddCommands(app, session);
        EXPECT_NO_THROW(app.parse(std::string(line))) << line;
        EXPECT_NE(session.run, nullptr) << line;
        EXPECT_TRUE(CheckJobFlags(app).ok()) << line;
      }
      EXPECT_TRUE(absl::StrContains(*HelpOf(app_, absl::StrSplit(path, ' ')), example.line));
    }
  });
}

TEST_F(TreeTest, TheManualTellsSharedFlagsOnce) {
  const std::string page = ManPage(app_, "1");
  size_t times = 0;
  for (size_t at = page.find("last\\-failed JOB"); at != std::string::npos;
       at = page.find("last\\-failed JOB", at + 1)) {
    ++times;
  }
  EXPECT_EQ(times, 1u);
}

}  // namespace
}  // namespace orch::cli
