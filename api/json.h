// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"

// Converts API messages to and from JSON (proto3 JSON with proto field names; defaults are
// printed), and facts between JSON and protobuf. Pure.

namespace orch::api {

// Messages nested deeper than this are not printable: protobuf prints 64 levels (a map's entries
// are none), and what is printed stands in other messages. Facts may have 24 levels, which are 48
// here.
inline constexpr int kPrintableDepthMax = 56;

// Checks that a message can be printed; to be called for messages that a stranger made.
// InvalidArgument: at some depth it holds what JSON lacks (a time or duration out of range, a Value
// without a kind or with a number that is not finite), or it is nested too deeply.
absl::Status CheckPrintable(const google::protobuf::Message& message);
// Prints a message in one line, or with `pretty` indented. InvalidArgument: as CheckPrintable.
absl::StatusOr<std::string> PrintJson(const google::protobuf::Message& message,
                                      bool pretty = false);
// Prints a message that is printable for sure, because it was made here or checked.
std::string ToJson(const google::protobuf::Message& message, bool pretty = false);
// Parses a message. InvalidArgument: not JSON of this message; unknown fields are refused.
absl::Status FromJson(absl::string_view json, google::protobuf::Message* out);

google::protobuf::Value ToValue(const nlohmann::json& json);
google::protobuf::Struct ToStruct(const nlohmann::json& object);
nlohmann::json FromValue(const google::protobuf::Value& value);
nlohmann::json FromStruct(const google::protobuf::Struct& object);

}  // namespace orch::api
