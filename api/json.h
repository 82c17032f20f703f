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

// One line, or indented.
std::string ToJson(const google::protobuf::Message& message, bool pretty = false);
// Unknown fields are refused.
absl::Status FromJson(absl::string_view json, google::protobuf::Message* out);

google::protobuf::Value ToValue(const nlohmann::json& json);
google::protobuf::Struct ToStruct(const nlohmann::json& object);
nlohmann::json FromValue(const google::protobuf::Value& value);
nlohmann::json FromStruct(const google::protobuf::Struct& object);

}  // namespace orch::api
