// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"

// JSON of API messages (proto3 JSON with proto field names and defaults printed) and of facts.
// Pure.

namespace orch::api {

// Messages nested deeper than this are not printable: protobuf prints 64 levels (a map's entries
// are none), and what is printed stands in other messages. Facts may have 24 levels, which are 48
// here.
inline constexpr int kPrintableDepthMax = 56;

// InvalidArgument: holds what has no JSON, at any depth: a time or a duration out of range, a Value
// without a kind or with a number that is none, or too deep a nesting. To be asked of whatever a
// stranger made.
absl::Status CheckPrintable(const google::protobuf::Message& message);
// One line, or indented. InvalidArgument as above.
absl::StatusOr<std::string> PrintJson(const google::protobuf::Message& message,
                                      bool pretty = false);
// The same of what is printable for sure: made here, or checked.
std::string ToJson(const google::protobuf::Message& message, bool pretty = false);
// Unknown fields are refused.
absl::Status FromJson(absl::string_view json, google::protobuf::Message* out);

google::protobuf::Value ToValue(const nlohmann::json& json);
google::protobuf::Struct ToStruct(const nlohmann::json& object);
nlohmann::json FromValue(const google::protobuf::Value& value);
nlohmann::json FromStruct(const google::protobuf::Struct& object);

}  // namespace orch::api
