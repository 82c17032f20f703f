// SPDX-License-Identifier: Apache-2.0
#include "base/telemetry/traceparent.h"

#include <gtest/gtest.h>

namespace orch::base {
namespace {

constexpr char kGood[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(TraceparentTest, ReadsVersion00) {
  const Traceparent trace = ParseTraceparent(kGood);
  ASSERT_TRUE(trace.has_value());
  EXPECT_EQ(trace.trace_id, "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(trace.span_id, "b7ad6b7169203331");
  EXPECT_EQ(trace.flags, 1);
  EXPECT_EQ(trace.ToString(), kGood);
}

TEST(TraceparentTest, AnythingElseIsNone) {
  const std::string good = kGood;
  std::string upper = good;
  upper[4] = 'A';
  std::string letter = good;
  letter[20] = 'g';
  std::string space = good;
  space[2] = ' ';
  std::string nul = good;
  nul[40] = '\0';
  for (const std::string& bad :
       {std::string(),
        good.substr(0, 54),
        good + "0",
        good + "-",
        good + "-00",
        " " + good,
        upper,
        letter,
        space,
        nul,
        "ff" + good.substr(2),
        "FF" + good.substr(2),
        "0g" + good.substr(2),
        "01" + good.substr(2) + "00",
        std::string(55, '-'),
        std::string(55, '0'),
        std::string("00-00000000000000000000000000000000-b7ad6b7169203331-01"),
        std::string("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"),
        std::string("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x"),
        std::string("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1")}) {
    const Traceparent trace = ParseTraceparent(bad);
    EXPECT_FALSE(trace.has_value()) << bad;
    EXPECT_EQ(trace.ToString(), "");
  }
}

TEST(TraceparentTest, OfLaterVersionsWhat00KnowsOfThem) {
  const std::string later = std::string("cc") + (kGood + 2);
  EXPECT_EQ(ParseTraceparent(later).ToString(), kGood);
  EXPECT_EQ(ParseTraceparent(later + "-what-the-future-will-be-like").ToString(), kGood);
  EXPECT_FALSE(ParseTraceparent(later + ".what").has_value());
}

TEST(TraceparentTest, ReservedFlagsAreNotPassedOn) {
  const std::string all = std::string(kGood, 53) + "ff";
  EXPECT_EQ(ParseTraceparent(all).ToString(), std::string(kGood, 53) + "03");
}

TEST(TraceparentTest, AChildKeepsTheTrace) {
  const Traceparent parent = ParseTraceparent(kGood);
  const Traceparent child = ChildSpan(parent, "one");
  EXPECT_EQ(child.trace_id, parent.trace_id);
  EXPECT_EQ(child.flags, parent.flags);
  EXPECT_NE(child.span_id, parent.span_id);
  EXPECT_EQ(ParseTraceparent(child.ToString()).span_id, child.span_id);
  EXPECT_EQ(ChildSpan(parent, "one").span_id, child.span_id);
  EXPECT_NE(ChildSpan(parent, "two").span_id, child.span_id);
  EXPECT_FALSE(ChildSpan({}, "one").has_value());
}

}  // namespace
}  // namespace orch::base
