// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <gtest/gtest.h>

namespace orch::base {
namespace {

TEST(Text, LengthsOfCharacters) {
  EXPECT_EQ(Utf8Length("a", 0), 1u);
  EXPECT_EQ(Utf8Length("é", 0), 2u);
  EXPECT_EQ(Utf8Length("あ", 0), 3u);
  EXPECT_EQ(Utf8Length("😀", 0), 4u);
  EXPECT_EQ(Utf8Length("é", 1), 0u);                 // inside
  EXPECT_EQ(Utf8Length("\xc0\x80", 0), 0u);          // overlong
  EXPECT_EQ(Utf8Length("\xe0\x80\x80", 0), 0u);      // overlong
  EXPECT_EQ(Utf8Length("\xed\xa0\x80", 0), 0u);      // a surrogate
  EXPECT_EQ(Utf8Length("\xf4\x90\x80\x80", 0), 0u);  // above U+10FFFF
  EXPECT_EQ(Utf8Length("\xe3\x81", 0), 0u);          // cut
  EXPECT_EQ(Utf8Length("", 0), 0u);
}

TEST(Text, IsUtf8) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("aéあ😀"));
  EXPECT_FALSE(IsUtf8("a\xff"));
  EXPECT_FALSE(IsUtf8("\xe3\x81"));
}

TEST(Text, IsCutBetweenCharacters) {
  EXPECT_EQ(CutUtf8("aé", 3), "aé");
  EXPECT_EQ(CutUtf8("aé", 2), "a");
  EXPECT_EQ(CutUtf8("あ", 2), "");
  EXPECT_EQ(CutUtf8("あa", 3), "あ");
  EXPECT_EQ(CutUtf8("abc", 0), "");
  const std::string text = "x" + std::string("あ") + "y";
  for (size_t most = 0; most <= text.size() + 1; ++most) {
    EXPECT_LE(CutUtf8(text, most).size(), most);
    EXPECT_TRUE(IsUtf8(CutUtf8(text, most))) << most;
  }
  EXPECT_EQ(CutUtf8("\x80\x80\x80\x80\x80\x80", 5).size(),
            5u);  // no text: no walk to its beginning
}

TEST(Text, WhatIsNotUtf8IsReplaced) {
  EXPECT_EQ(ToUtf8("a\xff"
                   "b",
                   100),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(ToUtf8("\xe3\x81", 100), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(ToUtf8("aé", 2), "a");
  EXPECT_EQ(ToUtf8("a\xff", 3), "a");  // no room for the replacement
  EXPECT_EQ(ToUtf8(std::string("\0a", 2), 9), std::string("\0a", 2));
}

TEST(Text, CharactersAreNumbered) {
  char32_t code = 0;
  EXPECT_EQ(Utf8Length("aあ", 1, &code), 3u);
  EXPECT_EQ(code, U'あ');
  EXPECT_EQ(Utf8Length("a", 0, &code), 1u);
  EXPECT_EQ(code, U'a');
}

TEST(Text, CharactersAreCounted) {
  EXPECT_EQ(Utf8Characters(""), 0u);
  EXPECT_EQ(Utf8Characters("aéあ😀"), 4u);
  EXPECT_EQ(Utf8Characters("a\xff\xe3\x81"), 4u);
}

TEST(Text, OneByteOrderMarkIsSkipped) {
  EXPECT_EQ(SkipBom("\xef\xbb\xbfweb1"), "web1");
  EXPECT_EQ(SkipBom("web1\xef\xbb\xbf"), "web1\xef\xbb\xbf");
  EXPECT_EQ(SkipBom("\xef\xbb\xbf\xef\xbb\xbf"), "\xef\xbb\xbf");
  EXPECT_EQ(SkipBom(""), "");
}

}  // namespace
}  // namespace orch::base
