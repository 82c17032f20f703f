// SPDX-License-Identifier: Apache-2.0
#include "cli/target_flags.h"

#include <gtest/gtest.h>

namespace orch::cli {
namespace {

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
