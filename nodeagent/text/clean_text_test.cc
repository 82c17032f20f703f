// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/text/clean_text.h"

#include <gtest/gtest.h>

namespace orch::nodeagent {
namespace {

TEST(CleanTextTest, PlainTextStays) {
  EXPECT_EQ(CleanText("a\tb\nc", 100), "a\tb\nc");
  EXPECT_EQ(CleanText("größe …", 100), "größe …");
  EXPECT_EQ(CleanText("", 100), "");
}

TEST(CleanTextTest, ControlCharactersAndOtherBytesAreReplaced) {
  EXPECT_EQ(CleanText("\x1b[31mred\x7f\r", 100), " [31mred  ");
  EXPECT_EQ(CleanText("a\xff"
                      "b",
                      100),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(CleanText(absl::string_view("a\0b", 3), 100), "a b");
}

TEST(CleanTextTest, IsCutBetweenCharacters) {
  EXPECT_EQ(CleanText("abcdef", 3), "abc");
  EXPECT_EQ(CleanText("aö", 2), "a");
  EXPECT_EQ(CleanText("aö", 3), "aö");
  EXPECT_EQ(CleanText("…", 1), "");
}

}  // namespace
}  // namespace orch::nodeagent
