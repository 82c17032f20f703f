// SPDX-License-Identifier: Apache-2.0
#include "api/json.h"

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <gtest/gtest.h>

#include <limits>

namespace orch::api {
namespace {

using google::protobuf::Duration;
using google::protobuf::Timestamp;
using google::protobuf::Value;

// Lists in lists, so deep.
Value Nested(int depth) {
  Value value;
  value.set_bool_value(true);
  for (int i = 0; i < depth; ++i) {
    Value outer;
    *outer.mutable_list_value()->add_values() = std::move(value);
    value = std::move(outer);
  }
  return value;
}

TEST(Json, WhatIsNotPrintableIsRefused) {
  Timestamp time;
  time.set_seconds(int64_t{1} << 62);
  EXPECT_FALSE(CheckPrintable(time).ok());
  EXPECT_FALSE(PrintJson(time).ok());
  time.set_seconds(253402300799);
  EXPECT_TRUE(CheckPrintable(time).ok());
  EXPECT_TRUE(PrintJson(time).ok());
  time.set_nanos(-1);
  EXPECT_FALSE(CheckPrintable(time).ok());

  Duration duration;
  duration.set_seconds(-5);
  duration.set_nanos(-1);
  EXPECT_TRUE(CheckPrintable(duration).ok());
  duration.set_nanos(1);
  EXPECT_FALSE(CheckPrintable(duration).ok());
  duration.set_seconds(std::numeric_limits<int64_t>::min());
  duration.set_nanos(std::numeric_limits<int32_t>::min());
  EXPECT_FALSE(CheckPrintable(duration).ok());

  Value value;
  EXPECT_FALSE(CheckPrintable(value).ok()) << "of no kind";
  value.mutable_list_value()->add_values();
  EXPECT_FALSE(CheckPrintable(value).ok());
  value.set_number_value(std::numeric_limits<double>::quiet_NaN());
  EXPECT_FALSE(CheckPrintable(value).ok());
  value.set_number_value(-std::numeric_limits<double>::infinity());
  google::protobuf::Struct facts;
  (*facts.mutable_fields())["a"] = value;
  EXPECT_FALSE(CheckPrintable(facts).ok());
  (*facts.mutable_fields())["a"].set_number_value(1.5);
  EXPECT_TRUE(CheckPrintable(facts).ok());
  EXPECT_TRUE(PrintJson(facts).ok());
}

TEST(Json, WhatIsNestedTooDeepIsRefused) {
  EXPECT_TRUE(CheckPrintable(Nested(kPrintableDepthMax / 2)).ok());
  // In a few messages more, as it is shown.
  EXPECT_TRUE(PrintJson(Nested(kPrintableDepthMax / 2 + 3)).ok());
  EXPECT_FALSE(CheckPrintable(Nested(kPrintableDepthMax / 2 + 1)).ok());
}

}  // namespace
}  // namespace orch::api
