// SPDX-License-Identifier: Apache-2.0
#include "cli/target_flags.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace orch::cli {
namespace {

absl::StatusOr<orch::v1::Target> Built(std::vector<std::string> arguments) {
  CLI::App app;
  TargetFlags flags;
  flags.AddTo(&app);
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return absl::UnknownError(error.what());
  }
  return flags.Build();
}

TEST(TargetFlagsTest, ValuesAreTakenAsTheyAre) {
  EXPECT_EQ(Built({"-C", "[a,b]"})->classes(0), "[a,b]");
  EXPECT_EQ(Built({"-C", "role[web]"})->classes(0), "role[web]");
  EXPECT_EQ(Built({"-S", "[a,b]"})->select(0), "[a,b]");
  const absl::StatusOr<orch::v1::Target> two =
      Built({"-I", "web1", "-I", "web2", "--with-identity=web3", "-Iweb4", "-F", "a=[1,2]"});
  ASSERT_TRUE(two.ok()) << two.status();
  EXPECT_EQ(two->identities_size(), 4);
  EXPECT_EQ(two->identities(3), "web4");
  EXPECT_EQ(two->facts(0), "a=[1,2]");
  EXPECT_EQ(Built({"-I", "web1", "web2"}).status().code(), absl::StatusCode::kUnknown);
}

TEST(TargetFlagsTest, WordsWithoutAFlagAreNodes) {
  const auto built = [](const std::string& line) {
    CLI::App app;
    TargetFlags flags;
    flags.AddTo(&app);
    flags.AddNodes(&app);
    app.parse(line);
    EXPECT_FALSE(flags.empty());
    return flags.Build();
  };
  const absl::StatusOr<orch::v1::Target> both = built("web1 -I /^db/ web2.example.net");
  ASSERT_TRUE(both.ok()) << both.status();
  EXPECT_EQ(both->identities_size(), 3);
  for (const char* line : {"'restoring a backup'", "WEB1", "web*", "web1 /web/"}) {
    const absl::Status refused = built(line).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << line;
    EXPECT_NE(refused.message().find("a message with -m"), std::string::npos) << refused;
  }
}

TEST(TargetFlagsTest, NoWordIsNotEverybody) {
  for (const char* words : {"", "   ", "\t"}) {
    const absl::Status status = Built({"-C", "a", "-W", words}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(), "-W: expected a fact or class");
  }
  EXPECT_EQ(Built({"-W", " a b=1 "})->classes(0), "a");
}

TEST(RolloutFlagsTest, ConcurrencyIsANumberOrAWord) {
  RolloutFlags flags;
  flags.concurrency = "unlimited";
  EXPECT_TRUE(flags.Build()->unlimited());
  flags.concurrency = "auto";
  EXPECT_EQ(flags.Build()->concurrency(), 0u);
  flags.concurrency = "12";
  EXPECT_EQ(flags.Build()->concurrency(), 12u);
  flags.concurrency = "0";
  EXPECT_FALSE(flags.Build().ok());
  flags.concurrency = "";
  flags.batch_sleep = "5";
  EXPECT_FALSE(flags.Build().ok());
}

}  // namespace
}  // namespace orch::cli
