// SPDX-License-Identifier: Apache-2.0
#include "target/number.h"

#include <gtest/gtest.h>

namespace orch::target {
namespace {

using Kind = Number::Kind;

int Sign(int order) { return (order > 0) - (order < 0); }

int Order(absl::string_view a, absl::string_view b) {
  return Sign(Number::Compare(Number::Parse(a), Number::Parse(b)));
}

TEST(NumberTest, KnowsPlainDecimalsAndVersionsOnly) {
  for (const char* text : {"0", "7", "-7", "+7", "010", "1.5", "-0.25", "1.10", "00.00"}) {
    EXPECT_EQ(Number::Parse(text).kind(), Kind::kDecimal) << text;
  }
  for (const char* text : {"1.2.3", "0.0.0", "10.0.0.1", "1.2.3.4.5"}) {
    EXPECT_EQ(Number::Parse(text).kind(), Kind::kVersion) << text;
  }
  for (const char* text : {"", "-", "+", ".", ".5", "5.", "1e3", "0x10", "1_000", " 1", "1 ", "--1",
                           "1.2.", "1..2", "-1.2.3", "1.2.x", "v1.2.3", "\xD9\xA3", "1.-2"}) {
    EXPECT_EQ(Number::Parse(text).kind(), Kind::kNone) << text;
  }
}

TEST(NumberTest, ComparesDecimalsByValue) {
  EXPECT_EQ(Order("1.10", "1.1"), 0);
  EXPECT_EQ(Order("010", "10"), 0);
  EXPECT_EQ(Order("-0", "0.00"), 0);
  EXPECT_EQ(Order("+3", "3"), 0);
  EXPECT_EQ(Order("9", "10"), -1);
  EXPECT_EQ(Order("-9", "-10"), 1);
  EXPECT_EQ(Order("-1", "1"), -1);
  EXPECT_EQ(Order("0.5", "0.25"), 1);
  EXPECT_EQ(Order("1.05", "1.5"), -1);
  EXPECT_EQ(Order("-0.5", "-0.25"), -1);
}

TEST(NumberTest, KeepsDigitsThatADoubleLoses) {
  EXPECT_EQ(Order("9007199254740993", "9007199254740992"), 1);
  EXPECT_EQ(Order("0.1", "0.10000000000000000001"), -1);
  EXPECT_EQ(Order(std::string(3000, '9'), std::string(3001, '1')), -1);
}

TEST(NumberTest, ComparesVersionsPartByPart) {
  EXPECT_EQ(Order("1.2.10", "1.2.9"), 1);
  EXPECT_EQ(Order("1.02.3", "1.2.3"), 0);
  EXPECT_EQ(Order("1.2.3", "1.2.3.0"), -1);
  EXPECT_EQ(Order("2.0.0", "1.99.99.99"), 1);
  EXPECT_EQ(Order("7.23.0", "7.23.0"), 0);
}

TEST(NumberTest, ReadsJsonNumbersExactly) {
  const auto order = [](const nlohmann::json& a, absl::string_view b) {
    return Sign(Number::Compare(Number::Of(a), Number::Parse(b)));
  };
  EXPECT_EQ(order(42, "42.0"), 0);
  EXPECT_EQ(order(-7, "-7"), 0);
  EXPECT_EQ(order(18446744073709551615u, "18446744073709551615"), 0);
  EXPECT_EQ(order(0.1, "0.1"), 0);
  EXPECT_EQ(order(1e21, "1000000000000000000000"), 0);
  EXPECT_EQ(order(1e-7, "0.0000001"), 0);
  EXPECT_EQ(Number::Of(1.7976931348623157e308).kind(), Kind::kDecimal);
  EXPECT_EQ(Number::Of(5e-324).kind(), Kind::kDecimal);
  EXPECT_EQ(Number::Of("42").kind(), Kind::kNone);
}

}  // namespace
}  // namespace orch::target
