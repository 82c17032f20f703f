// SPDX-License-Identifier: Apache-2.0
#include "cli/text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace orch::cli {
namespace {

TEST(Safe, KeepsWhatIsHarmless) {
  EXPECT_EQ(Safe("web1.example.net"), "web1.example.net");
  EXPECT_EQ(Safe("Zürich 東京 🚀"), "Zürich 東京 🚀");
  EXPECT_EQ(Safe("two\nlines\tand a tab"), "two lines and a tab");
  EXPECT_EQ(Safe(""), "");
}

TEST(Safe, NothingSteersTheTerminal) {
  EXPECT_EQ(Safe("\x1b[2J\x07"), "\\x1b[2J\\x07");
  EXPECT_EQ(Safe("\x1b]0;title\x07"), "\\x1b]0;title\\x07");
  EXPECT_EQ(Safe("a\rb\bc\x7f"), "a\\x0db\\x08c\\x7f");
  EXPECT_EQ(Safe(std::string("nul\0!", 5)), "nul\\x00!");
  // CSI and OSC as single C1 characters, which UTF-8 writes in two bytes.
  EXPECT_EQ(Safe("\xc2\x9b"
                 "2J\xc2\x9d"),
            "\\u009b2J\\u009d");
}

TEST(Safe, NothingLooksLikeSomethingElse) {
  EXPECT_EQ(Safe("\u202egpj.exe"), "\\u202egpj.exe");
  EXPECT_EQ(Safe("a\u2066b\u2069"), "a\\u2066b\\u2069");
  EXPECT_EQ(Safe("ro\u200bot\ufeff"), "ro\\u200bot\\ufeff");
  EXPECT_EQ(Safe("a\u2028b"), "a\\u2028b");
}

TEST(Safe, BrokenUtf8IsShownByByte) {
  EXPECT_EQ(Safe("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(Safe("caf\xe9"), "caf\\xe9");
  EXPECT_EQ(Safe("\xe2\x82"), "\\xe2\\x82");                    // cut off
  EXPECT_EQ(Safe("\xc0\x9b"), "\\xc0\\x9b");                    // ESC, overlong
  EXPECT_EQ(Safe("\xe0\x80\x9b"), "\\xe0\\x80\\x9b");           // the same in three bytes
  EXPECT_EQ(Safe("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // a surrogate
  EXPECT_EQ(Safe("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // beyond Unicode
}

TEST(Columns, CountsWhatIsSeen) {
  EXPECT_EQ(Columns("abc"), 3u);
  EXPECT_EQ(Columns("Zürich"), 6u);
  EXPECT_EQ(Columns("東京"), 4u);
  EXPECT_EQ(Columns("e\u0301"), 1u);
  EXPECT_EQ(Columns("\x1b[32mok\x1b[0m"), 2u);
  EXPECT_EQ(Columns("\x1b[32"), 0u);
  EXPECT_EQ(Columns("\xff"), 1u);
}

TEST(Cut, MarksWhatIsGone) {
  EXPECT_EQ(Cut("abcdef", 6, "…"), "abcdef");
  EXPECT_EQ(Cut("abcdef", 5, "…"), "abcd…");
  EXPECT_EQ(Cut("abcdef", 5, "..."), "ab...");
  EXPECT_EQ(Cut("東京都", 5, "…"), "東京…");
  EXPECT_EQ(Cut("東京都", 4, "…"), "東…");
  EXPECT_EQ(Cut("abcdef", 2, "..."), "..");
  EXPECT_EQ(Cut("abcdef", 0, "…"), "");
}

TEST(NaturalLess, CountsDigitsByValue) {
  std::vector<std::string> names = {"web10",
                                    "web2",
                                    "web",
                                    "db1",
                                    "1.10",
                                    "1.9",
                                    "web02",
                                    "",
                                    "100000000000000000000000",
                                    "99999999999999999999999"};
  std::sort(names.begin(), names.end(), NaturalLess);
  EXPECT_EQ(names, (std::vector<std::string>{"", "1.9", "1.10", "99999999999999999999999",
                                             "100000000000000000000000", "db1", "web", "web02",
                                             "web2", "web10"}));
}

TEST(NaturalLess, IsAStrictOrder) {
  const std::vector<std::string> words = {"", "0", "00", "1", "01", "a", "a0", "a00", "0a", "ab"};
  for (const std::string& a : words) {
    EXPECT_FALSE(NaturalLess(a, a)) << a;
    for (const std::string& b : words) {
      EXPECT_EQ(NaturalLess(a, b) || NaturalLess(b, a), a != b) << a << " " << b;
    }
  }
}

}  // namespace
}  // namespace orch::cli
