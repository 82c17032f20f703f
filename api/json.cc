// SPDX-License-Identifier: Apache-2.0
#include "api/json.h"

#include <google/protobuf/util/json_util.h>

#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace orch::api {

std::string ToJson(const google::protobuf::Message& message, bool pretty) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  options.add_whitespace = pretty;
  std::string out;
  const auto status = google::protobuf::util::MessageToJsonString(message, &out, options);
  // Only a message with an unresolvable Any or an out-of-range time fails; neither is made here.
  if (!status.ok()) return absl::StrCat("{\"error\":\"", status.message().ToString(), "\"}");
  return out;
}

absl::Status FromJson(absl::string_view json, google::protobuf::Message* out) {
  out->Clear();
  const auto status = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(json.data(), json.size()), out);
  if (status.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("not a ", out->GetDescriptor()->name(),
                                                 " in JSON: ", status.message().ToString()));
}

google::protobuf::Value ToValue(const nlohmann::json& json) {
  google::protobuf::Value out;
  switch (json.type()) {
    case nlohmann::json::value_t::object:
      *out.mutable_struct_value() = ToStruct(json);
      break;
    case nlohmann::json::value_t::array:
      out.mutable_list_value();
      for (const nlohmann::json& element : json) {
        *out.mutable_list_value()->add_values() = ToValue(element);
      }
      break;
    case nlohmann::json::value_t::string:
      out.set_string_value(json.get_ref<const std::string&>());
      break;
    case nlohmann::json::value_t::boolean:
      out.set_bool_value(json.get<bool>());
      break;
    case nlohmann::json::value_t::number_integer:
    case nlohmann::json::value_t::number_unsigned:
    case nlohmann::json::value_t::number_float:
      out.set_number_value(json.get<double>());
      break;
    default:
      out.set_null_value(google::protobuf::NULL_VALUE);
  }
  return out;
}

google::protobuf::Struct ToStruct(const nlohmann::json& object) {
  google::protobuf::Struct out;
  for (const auto& [key, value] : object.items()) (*out.mutable_fields())[key] = ToValue(value);
  return out;
}

nlohmann::json FromValue(const google::protobuf::Value& value) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kStructValue:
      return FromStruct(value.struct_value());
    case google::protobuf::Value::kListValue: {
      nlohmann::json out = nlohmann::json::array();
      for (const auto& element : value.list_value().values()) out.push_back(FromValue(element));
      return out;
    }
    case google::protobuf::Value::kStringValue:
      return value.string_value();
    case google::protobuf::Value::kBoolValue:
      return value.bool_value();
    case google::protobuf::Value::kNumberValue: {
      const double number = value.number_value();
      // Whole numbers come back as integers, as they went in; Struct itself keeps 53 bits.
      if (number == std::floor(number) && std::fabs(number) < 9007199254740992.0) {
        return static_cast<int64_t>(number);
      }
      return number;
    }
    default:
      return nullptr;
  }
}

nlohmann::json FromStruct(const google::protobuf::Struct& object) {
  nlohmann::json out = nlohmann::json::object();
  for (const auto& [key, value] : object.fields()) out[key] = FromValue(value);
  return out;
}

}  // namespace orch::api
