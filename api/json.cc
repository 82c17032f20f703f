// SPDX-License-Identifier: Apache-2.0
#include "api/json.h"

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/json_util.h>

#include <cmath>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace orch::api {

namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Years 1 to 9999, and as many either way, as timestamp.proto and duration.proto have it.
constexpr int64_t kTimestampMin = -62135596800;
constexpr int64_t kTimestampMax = 253402300799;
constexpr int64_t kDurationMax = 315576000000;
constexpr int32_t kNanosMax = 999999999;

bool InRange(const google::protobuf::Timestamp& time) {
  return time.seconds() >= kTimestampMin && time.seconds() <= kTimestampMax && time.nanos() >= 0 &&
         time.nanos() <= kNanosMax;
}

bool InRange(const google::protobuf::Duration& duration) {
  const bool one_sign = (duration.seconds() >= 0 && duration.nanos() >= 0) ||
                        (duration.seconds() <= 0 && duration.nanos() <= 0);
  return one_sign && std::abs(duration.nanos()) <= kNanosMax &&
         duration.seconds() >= -kDurationMax && duration.seconds() <= kDurationMax;
}

bool InRange(const google::protobuf::Value& value) {
  if (value.kind_case() == google::protobuf::Value::KIND_NOT_SET) return false;
  return !value.has_number_value() || std::isfinite(value.number_value());
}

// Of a message of type T: whether it has a JSON.
template <typename T>
bool Fits(const Message& message) {
  const T* known = dynamic_cast<const T*>(&message);
  return known == nullptr || InRange(*known);
}

absl::Status CheckPrintableIn(const Message& message, int depth) {
  const std::string& name = message.GetDescriptor()->full_name();
  if (depth > kPrintableDepthMax) {
    return absl::InvalidArgumentError(absl::StrCat("nested too deep, in ", name));
  }
  if (!Fits<google::protobuf::Timestamp>(message) || !Fits<google::protobuf::Duration>(message) ||
      !Fits<google::protobuf::Value>(message)) {
    return absl::InvalidArgumentError(absl::StrCat("a ", name, " that has no JSON"));
  }
  const auto& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const int size = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < size; ++i) {
      const Message& child = field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                                  : reflection.GetMessage(message, field);
      const absl::Status status = CheckPrintableIn(child, depth + (field->is_map() ? 0 : 1));
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPrintable(const Message& message) { return CheckPrintableIn(message, 0); }

absl::StatusOr<std::string> PrintJson(const Message& message, bool pretty) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  options.add_whitespace = pretty;
  std::string out;
  const auto status = google::protobuf::util::MessageToJsonString(message, &out, options);
  if (status.ok()) return out;
  return absl::InvalidArgumentError(absl::StrCat("a ", message.GetDescriptor()->name(),
                                                 " has no JSON: ", status.message().ToString()));
}

std::string ToJson(const Message& message, bool pretty) {
  absl::StatusOr<std::string> out = PrintJson(message, pretty);
  if (out.ok()) return *std::move(out);
  return nlohmann::json({{"error", out.status().message()}}).dump();
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
