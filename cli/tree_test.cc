// SPDX-License-Identifier: Apache-2.0
// The command tree as a whole, and what is made from it: completion and the manual page.
#include "cli/tree.h"

#include <gtest/gtest.h>

#include <functional>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "cli/completion.h"
#include "cli/man.h"
#include "cli/suggest.h"

namespace orch::cli {
namespace {

using Words = std::vector<std::string>;

class TreeTest : public testing::Test {
 protected:
  TreeTest() { AddCommands(app_, session_); }
  Words Completed(const Words& words) { return Complete(app_, session_.sort_keys, words); }
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

TEST_F(TreeTest, CompletesValues) {
  EXPECT_EQ(Completed({"find", "-o", "js"}), (Words{"json", "jsonl"}));
  EXPECT_EQ(Completed({"find", "--output", "y"}), (Words{"yaml"}));
  EXPECT_EQ(Completed({"find", "--output=js"}), (Words{"--output=json", "--output=jsonl"}));
  EXPECT_EQ(Completed({"--color", ""}), (Words{"always", "auto", "never"}));
  EXPECT_EQ(Completed({"completion", ""}), (Words{"bash", "fish", "zsh"}));
  EXPECT_EQ(Completed({"run", "puppet.d"}), (Words{"puppet.disable"}));
  EXPECT_EQ(Completed({"find", "-A", "node.p"}), (Words{"node.ping"}));
  EXPECT_EQ(Completed({"facts", "--sort-by", ""}), (Words{"count", "value"}));
  EXPECT_EQ(Completed({"node", "list", "--sort-by", "state,-la"}), (Words{"state,-last-seen"}));
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

}  // namespace
}  // namespace orch::cli
