// SPDX-License-Identifier: Apache-2.0
#include "target/words.h"

#include <gtest/gtest.h>

#include "absl/strings/str_join.h"
#include "target/limit.h"

namespace orch::target {
namespace {

std::string Split(absl::string_view text) {
  const orch::v1::Target target = ParseWords(text);
  return absl::StrCat(absl::StrJoin(target.facts(), " "), "|",
                      absl::StrJoin(target.classes(), " "));
}

TEST(WordsTest, AreFactsWhereTheyCompareElseClasses) {
  EXPECT_EQ(Split("apache os.family=Debian /^role::/ cpus>=4"),
            "os.family=Debian cpus>=4|apache /^role::/");
  EXPECT_EQ(Split(""), "|");
  EXPECT_EQ(Split("  a\t b  "), "|a b");
  EXPECT_EQ(Split("a=/x/ /a=b/ =x note=x=y"), "a=/x/ note=x=y|/a=b/ =x");
  EXPECT_EQ(Split("/ //"), "|/ //");
}

TEST(WordsTest, AddToWhatIsThere) {
  orch::v1::Target target;
  target.add_classes("first");
  AddWords("second a=1", &target);
  EXPECT_EQ(target.classes_size(), 2);
  EXPECT_EQ(target.facts_size(), 1);
}

TEST(LimitTest, IsANumberOrAPercentage) {
  EXPECT_EQ(Limit::Parse("10")->Of(100), 10u);
  EXPECT_EQ(Limit::Parse("10")->Of(7), 7u);
  EXPECT_EQ(Limit::Parse("4294967295")->Of(7), 7u);
  EXPECT_EQ(Limit::Parse("25%")->Of(100), 25u);
  EXPECT_EQ(Limit::Parse("25%")->Of(10), 2u);
  EXPECT_EQ(Limit::Parse("1%")->Of(10), 1u);
  EXPECT_EQ(Limit::Parse("1%")->Of(0), 0u);
  EXPECT_EQ(Limit::Parse("100%")->Of(3), 3u);
  EXPECT_EQ(Limit::Parse("99.999%")->Of(3), 2u);
  EXPECT_EQ(Limit::Parse("12.5%")->Of(80), 10u);
  EXPECT_EQ(Limit::Parse(" 5 ")->Of(9), 5u);
}

TEST(LimitTest, RefusesTheRest) {
  for (const char* text : {"",
                           "0",
                           "0%",
                           "0.0%",
                           "-1",
                           "+1",
                           "1.5",
                           "101%",
                           "100.001%",
                           "1.2345%",
                           "%",
                           "1 %",
                           "x",
                           "0x10",
                           "1e3",
                           "4294967296",
                           "99999999999999999999",
                           ".5%",
                           "5.%",
                           "1%%"}) {
    EXPECT_EQ(Limit::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(Limit::Parse("0").status().message(),
            "expected a number of nodes above 0 or a percentage such as 25%, found \"0\"");
}

}  // namespace
}  // namespace orch::target
