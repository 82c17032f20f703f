// SPDX-License-Identifier: Apache-2.0
#include "controller/edge/edge_callers.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace orch::controller {
namespace {

TEST(EdgeCallersTest, AConnectionIsFoundByWhatGrpcShows) {
  EdgeCallers callers;
  const std::string name = EdgeCallers::NewName();
  EXPECT_NE(name, EdgeCallers::NewName());
  EXPECT_EQ(name.size(), std::string("orch/").size() + 32) << "128 bits";
  const std::string shown = absl::StrCat("unix-abstract:", name);
  EXPECT_FALSE(callers.Find(shown).has_value());
  callers.Add(name, {.certificate_pem = "pem", .peer = "10.0.0.1:4711", .party = nullptr});
  ASSERT_TRUE(callers.Find(shown).has_value());
  EXPECT_EQ(callers.Find(shown)->certificate_pem, "pem");
  EXPECT_EQ(callers.Find(shown)->peer, "10.0.0.1:4711");
  for (const std::string& other :
       {name, absl::StrCat("unix:", name), absl::StrCat(shown, "0"), std::string("fd:12"),
        std::string("ipv4:10.0.0.1:4711"), std::string("unix-abstract:"), std::string()}) {
    EXPECT_FALSE(callers.Find(other).has_value()) << other;
  }
  callers.Remove(name);
  EXPECT_FALSE(callers.Find(shown).has_value());
}

TEST(EdgeCallersTest, ACertificateHasSoManyConnections) {
  EdgeCallers callers;
  const auto first = callers.Join("a", 2);
  EXPECT_EQ(callers.Join("a", 2), first);
  EXPECT_EQ(callers.Join("a", 2), nullptr);
  EXPECT_NE(callers.Join("b", 2), nullptr);
  callers.Leave(first);
  EXPECT_EQ(callers.Join("a", 2), first);
}

TEST(EdgeCallersTest, ReconnectingBuysNoNewBudget) {
  EdgeCallers callers;
  const auto before = callers.Join("a", 2);
  callers.Leave(before);
  EXPECT_EQ(callers.Join("a", 2), before);
}

TEST(EdgeCallersTest, WhoIsGoneIsForgottenWhenThereAreMany) {
  EdgeCallers callers;
  const auto stays = callers.Join("stays", 2);
  const auto left = callers.Join("left", 2);
  callers.Leave(left);
  for (size_t i = 0; i < 2 * EdgeCallers::kPartiesMax; ++i) {
    callers.Leave(callers.Join(absl::StrCat(i), 2));
  }
  EXPECT_EQ(callers.Join("stays", 2), stays);
  EXPECT_NE(callers.Join("left", 2), left);
}

}  // namespace
}  // namespace orch::controller
