// SPDX-License-Identifier: Apache-2.0
#include "cli/naming_flags.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"

namespace orch::cli {
namespace {

// What CLI11 says of the words after `orchctl run`; empty: nothing.
std::string Refusal(const std::vector<std::string>& words) {
  CLI::App app;
  CLI::App* run = app.add_subcommand("run");
  TargetFlags target;
  NamingFlags naming;
  RolloutFlags rollout;
  std::string reason;
  target.AddTo(run);
  naming.AddTo(run, true);
  rollout.AddTo(run);
  run->add_option("--reason", reason);
  RefuseEmptyValues(&app);
  std::vector<std::string> reversed(words.rbegin(), words.rend());
  reversed.push_back("run");
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return "";
}

TEST(NamingFlagsTest, AnEmptyValueIsNotNobodyButAMistake) {
  for (const char* flag :
       {"--last-failed", "--nodes", "--pql", "--limit", "--limit-seed", "--inventory", "--group",
        "--discovery-timeout", "--collective", "--with-fact", "--with-class", "--with-action",
        "--with-identity", "--with", "--select", "--batch", "--batch-sleep", "--concurrency",
        "--max-failures"}) {
    const std::string refusal = Refusal({flag, ""});
    EXPECT_TRUE(absl::StrContains(refusal, "is empty; is a variable not set?")) << flag << refusal;
    EXPECT_TRUE(absl::StrContains(refusal, flag)) << refusal;
    EXPECT_EQ(Refusal({flag, "x"}), "");
  }
  EXPECT_NE(Refusal({"-C", "web", "-C", ""}), "");
  EXPECT_EQ(Refusal({"--reason", ""}), "");
  EXPECT_EQ(Refusal({}), "");
}

}  // namespace
}  // namespace orch::cli
