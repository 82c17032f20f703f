// SPDX-License-Identifier: Apache-2.0
#include "cli/contexts.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace orch::cli {
namespace {

TEST(ContextsTest, KeptPathsAreAbsolute) {
  const std::string here = std::filesystem::current_path().string();
  EXPECT_EQ(KeptPath("ca.pem"), here + "/ca.pem");
  EXPECT_EQ(KeptPath("./tls/../ca.pem"), here + "/ca.pem");
  EXPECT_EQ(KeptPath("/etc/orch/ca.pem"), "/etc/orch/ca.pem");
  EXPECT_EQ(KeptPath("~/ca.pem"), "~/ca.pem");
  EXPECT_EQ(KeptPath(""), "");
}

}  // namespace
}  // namespace orch::cli
