// SPDX-License-Identifier: Apache-2.0
#include "api/quantity.h"

#include <gtest/gtest.h>

#include <limits>

namespace orch::api {
namespace {

uint32_t Of(const char* text, uint32_t of) {
  const auto quantity = ParseQuantity(text);
  EXPECT_TRUE(quantity.ok()) << text << ": " << quantity.status();
  return *ResolveQuantity(*quantity, of, "f");
}

TEST(QuantityTest, IsANumberOrAPercentage) {
  EXPECT_EQ(Of("10", 100), 10u);
  EXPECT_EQ(Of("10", 7), 7u);
  EXPECT_EQ(Of("4294967295", 7), 7u);
  EXPECT_EQ(Of("25%", 100), 25u);
  EXPECT_EQ(Of("25%", 10), 2u);
  EXPECT_EQ(Of("50%", 4294967295u), 2147483647u);
  EXPECT_EQ(Of("007", 10), 7u);
  EXPECT_EQ(Of("1%", 10), 1u);
  EXPECT_EQ(Of("1%", 0), 0u);
  EXPECT_EQ(Of("100%", 3), 3u);
  EXPECT_EQ(Of("99.999%", 3), 2u);
  EXPECT_EQ(Of("12.5%", 80), 10u);
  EXPECT_EQ(Of(" 5 ", 9), 5u);
}

TEST(QuantityTest, RefusesTheRest) {
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
    EXPECT_EQ(ParseQuantity(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(ParseQuantity("0").status().message(),
            "expected a number of nodes above 0 or a percentage such as 25%, found \"0\"");
}

TEST(QuantityTest, WhatAProgramSendsIsCheckedTheSame) {
  orch::v1::Quantity quantity;
  const auto refusal = [&quantity] {
    return std::string(ResolveQuantity(quantity, 10, "spec.rollout.limit").status().message());
  };
  EXPECT_EQ(refusal(), "spec.rollout.limit: has neither count nor percent");
  quantity.set_count(0);
  EXPECT_EQ(refusal(), "spec.rollout.limit: count must be above 0");
  for (const double percent : {0.0, -1.0, 100.1, 0.0001, std::numeric_limits<double>::infinity(),
                               std::numeric_limits<double>::quiet_NaN()}) {
    quantity.set_percent(percent);
    EXPECT_EQ(refusal(), "spec.rollout.limit: percent must be above 0 and at most 100") << percent;
  }
}

TEST(QuantityTest, PrintsWhatItReads) {
  for (const char* text : {"1", "25%", "12.5%", "99.999%", "0.001%"}) {
    EXPECT_EQ(QuantityText(*ParseQuantity(text)), text);
  }
}

}  // namespace
}  // namespace orch::api
