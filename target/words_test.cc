// SPDX-License-Identifier: Apache-2.0
#include "target/words.h"

#include <gtest/gtest.h>

#include "absl/strings/str_join.h"

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

}  // namespace
}  // namespace orch::target
