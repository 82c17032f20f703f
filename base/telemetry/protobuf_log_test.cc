// SPDX-License-Identifier: Apache-2.0
#include "base/telemetry/protobuf_log.h"

#include <google/protobuf/struct.pb.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "base/log.h"

namespace orch::base {
namespace {

TEST(ProtobufLogTest, WhatItSaysIsOneLineInOurForm) {
  google::protobuf::Value value;
  value.set_string_value("\xff");
  SetUpLog("test", LogLevel::kInfo, LogFormat::kJson);
  SetUpProtobufLog();
  testing::internal::CaptureStderr();
  for (int i = 0; i < 1000; ++i) (void)value.SerializeAsString();
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_TRUE(absl::StrContains(said, "\"message\":\"protobuf\"")) << said;
  EXPECT_TRUE(absl::StrContains(said, "string_value")) << said;
}

}  // namespace
}  // namespace orch::base
