// SPDX-License-Identifier: Apache-2.0
#include "cli/fold.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace orch::cli {
namespace {

std::string Fold(const std::vector<std::string>& names) {
  return absl::StrJoin(FoldNames(names), " ");
}

TEST(FoldTest, NumbersOfTheFirstLabelAreTogether) {
  EXPECT_EQ(Fold({"web03.example.net", "web01.example.net", "web02.example.net"}),
            "web[01-03].example.net");
  EXPECT_EQ(Fold({"web1", "web2", "web4", "db7"}), "db7 web[1,2,4]");
  EXPECT_EQ(Fold({"web9", "web10", "web11"}), "web[9-11]");
  EXPECT_EQ(Fold({"rack1-web1.a", "rack1-web2.a", "rack2-web1.a"}),
            "rack1-web[1,2].a rack2-web1.a");
  EXPECT_EQ(Fold({"10.0.0.1", "10.0.0.2"}), "10.0.0.1 10.0.0.2");
  EXPECT_EQ(Fold({"a", "b", "a"}), "a b");
  EXPECT_EQ(Fold({}), "");
}

TEST(FoldTest, EveryNameStandsForItself) {
  EXPECT_EQ(Fold({"n1", "n01", "n2", "n02"}), "n[01,02] n[1,2]");
  EXPECT_EQ(Fold({"n8", "n9", "n10", "n010"}), "n[8-10] n010");
  EXPECT_EQ(Fold({"n12345678901234567890", "n12345678901234567891"}),
            "n12345678901234567890 n12345678901234567891");
}

TEST(FoldTest, WhatDoesNotFitIsCounted) {
  const std::vector<std::string> names = {"alpha", "beta", "gamma", "web1", "web2", "web3"};
  EXPECT_EQ(FoldedNames(names, 0, "…"), "alpha, beta, gamma, web[1-3]");
  EXPECT_EQ(FoldedNames(names, 28, "…"), "alpha, beta, gamma, web[1-3]");
  EXPECT_EQ(FoldedNames(names, 24, "…"), "alpha, beta and 4 more");
  EXPECT_EQ(FoldedNames(names, 3, "…"), "al…");
  std::vector<std::string> many;
  for (int i = 1; i <= 3000; ++i) many.push_back(absl::StrCat("node", i, ".example.net"));
  EXPECT_EQ(FoldedNames(many, 40, "…"), "node[1-3000].example.net");
}

}  // namespace
}  // namespace orch::cli
