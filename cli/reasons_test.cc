// SPDX-License-Identifier: Apache-2.0
#include "cli/reasons.h"

#include <gtest/gtest.h>

namespace orch::cli {
namespace {

TEST(ReasonsTest, ComesFromTheManualsTables) {
  const std::string denied = ExplainReason("POLICY_DENIED");
  EXPECT_NE(denied.find("POLICY_DENIED (PERMISSION_DENIED)"), std::string::npos) << denied;
  EXPECT_NE(denied.find("What to do: "), std::string::npos) << denied;
  EXPECT_EQ(denied.find('`'), std::string::npos) << denied;
  EXPECT_NE(ExplainReason("disabled").find("REFUSED"), std::string::npos);
  EXPECT_NE(ExplainReason("clock"), "");
  EXPECT_EQ(ExplainReason("NO_SUCH_REASON"), "");
  EXPECT_NE(KnownReasons().find("CONFIRMATION_REQUIRED"), std::string::npos);
}

}  // namespace
}  // namespace orch::cli
