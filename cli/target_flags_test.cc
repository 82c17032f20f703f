// SPDX-License-Identifier: Apache-2.0
#include "cli/target_flags.h"

#include <gtest/gtest.h>

namespace orch::cli {
namespace {

using Names = std::vector<std::string>;

TEST(ParseNodesTest, TextHasOneNameALineAndComments) {
  const auto names = ParseNodes("# fleet\n b.example \na.example # first\n\na.example\n");
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_EQ(*names, (Names{"a.example", "b.example"}));
}

TEST(ParseNodesTest, TextNamesTheBadLine) {
  EXPECT_EQ(ParseNodes("ok\nnot ok\n").status().message(),
            "line 2: `not ok` is not a node's identity");
}

TEST(ParseNodesTest, ReadsWhatOrchctlPrinted) {
  EXPECT_EQ(
      *ParseNodes(
          R"({"nodes":[{"name":"nodes/a","identity":"a"},{"identity":"b"}],"silent":[{"identity":"s"}]})"),
      (Names{"a", "b"}));
  EXPECT_EQ(*ParseNodes(
                R"({"job":{"name":"jobs/X"},"nodes":[{"node":"a","state":"NODE_STATE_FAILED"}]})"),
            (Names{"a"}));
  EXPECT_EQ(*ParseNodes("{\"identity\":\"a\"}\n{\"identity\":\"b\"}\n"), (Names{"a", "b"}));
  EXPECT_EQ(*ParseNodes(R"(["a","b"])"), (Names{"a", "b"}));
}

TEST(ParseNodesTest, RefusesBrokenJsonAndBadNames) {
  EXPECT_FALSE(ParseNodes("{\"identity\":\"a\"}\n{broken\n").ok());
  EXPECT_FALSE(ParseNodes(R"(["a/../b"])").ok());
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
