// SPDX-License-Identifier: Apache-2.0
#include "policy/arguments.h"

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "api/catalog.h"
#include "base/downcase.h"
#include "orch/v1/action.pb.h"

namespace orch::policy {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// What is given for an argument, as texts; a flag that is false counts as not set.
using Values = std::vector<std::string>;

std::string ScalarText(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& r = *message.GetReflection();
  const bool one = !field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return one ? r.GetString(message, &field) : r.GetRepeatedString(message, &field, index);
    case FieldDescriptor::CPPTYPE_BOOL:
      return (one ? r.GetBool(message, &field) : r.GetRepeatedBool(message, &field, index))
                 ? "true"
                 : "false";
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(one ? r.GetInt32(message, &field)
                              : r.GetRepeatedInt32(message, &field, index));
    case FieldDescriptor::CPPTYPE_UINT32:
      return absl::StrCat(one ? r.GetUInt32(message, &field)
                              : r.GetRepeatedUInt32(message, &field, index));
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(one ? r.GetInt64(message, &field)
                              : r.GetRepeatedInt64(message, &field, index));
    case FieldDescriptor::CPPTYPE_UINT64:
      return absl::StrCat(one ? r.GetUInt64(message, &field)
                              : r.GetRepeatedUInt64(message, &field, index));
    case FieldDescriptor::CPPTYPE_ENUM:
      return (one ? r.GetEnum(message, &field) : r.GetRepeatedEnum(message, &field, index))->name();
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return absl::StrCat(one ? r.GetDouble(message, &field)
                              : r.GetRepeatedDouble(message, &field, index));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return absl::StrCat(one ? r.GetFloat(message, &field)
                              : r.GetRepeatedFloat(message, &field, index));
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      const Message& inner =
          one ? r.GetMessage(message, &field) : r.GetRepeatedMessage(message, &field, index);
      if (inner.GetDescriptor() == google::protobuf::Duration::descriptor()) {
        return google::protobuf::util::TimeUtil::ToString(
            static_cast<const google::protobuf::Duration&>(inner));
      }
      return inner.ShortDebugString();
    }
  }
  return "";
}

Values ValuesOf(const Message& message, const FieldDescriptor& field) {
  const Reflection& r = *message.GetReflection();
  Values out;
  if (field.is_repeated()) {
    for (int i = 0; i < r.FieldSize(message, &field); ++i) {
      out.push_back(ScalarText(message, field, i));
    }
  } else if (r.HasField(message, &field)) {
    out.push_back(ScalarText(message, field, 0));
  }
  return out;
}

// JSON has one kind of number: whole ones are written without a point or exponent.
std::string NumberText(double number) {
  constexpr double kExactMax = 9007199254740992;  // 2^53
  if (std::abs(number) <= kExactMax && std::trunc(number) == number) {
    return absl::StrCat(static_cast<int64_t>(number));
  }
  return absl::StrFormat("%.17g", number);
}

void AppendValues(const google::protobuf::Value& value, Values* out) {
  using google::protobuf::Value;
  switch (value.kind_case()) {
    case Value::kStringValue:
      out->push_back(value.string_value());
      break;
    case Value::kBoolValue:
      out->push_back(value.bool_value() ? "true" : "false");
      break;
    case Value::kNumberValue:
      out->push_back(NumberText(value.number_value()));
      break;
    case Value::kListValue:
      for (const Value& element : value.list_value().values()) {
        if (element.kind_case() == Value::kListValue) {
          out->push_back(element.ShortDebugString());
        } else {
          AppendValues(element, out);
        }
      }
      break;
    case Value::kStructValue:
      out->push_back(value.ShortDebugString());
      break;
    case Value::kNullValue:
    case Value::KIND_NOT_SET:
      break;
  }
}

// Whether the argument means the same in upper and in lower case.
bool IgnoresCase(absl::string_view name, absl::string_view action) {
  const api::ActionInfo* info = api::FindAction(action);
  if (info == nullptr) return false;
  const FieldDescriptor* field = info->arm->message_type()->FindFieldByName(std::string(name));
  return field != nullptr && field->options().GetExtension(orch::v1::argument).ignores_case();
}

// Nothing if the action has no such argument.
std::optional<Values> Given(absl::string_view name, absl::string_view action,
                            const orch::v1::Action* arguments) {
  const api::ActionInfo* info = api::FindAction(action);
  if (info == nullptr) {
    Values out;
    if (arguments != nullptr && arguments->has_external()) {
      const auto& fields = arguments->external().arguments().fields();
      const auto found = fields.find(std::string(name));
      if (found != fields.end()) AppendValues(found->second, &out);
    }
    return out;
  }
  const Descriptor* type = info->arm->message_type();
  const FieldDescriptor* field = type->FindFieldByName(std::string(name));
  if (field == nullptr) return std::nullopt;
  const bool given = arguments != nullptr && api::InfoOf(*arguments) == info;
  if (!given) return Values();
  return ValuesOf(arguments->GetReflection()->GetMessage(*arguments, info->arm), *field);
}

}  // namespace

std::string ArgumentConstraint::Print() const {
  const std::string what = kind == Kind::kRequired ? "required"
                           : kind == Kind::kForbidden
                               ? "forbidden"
                               : absl::StrCat("[", absl::StrJoin(values, ", "), "]");
  return absl::StrCat(name, ": ", what);
}

bool Holds(const ArgumentConstraint& constraint, absl::string_view action,
           const orch::v1::Action* arguments, Doubt doubt) {
  const std::optional<Values> given = Given(constraint.name, action, arguments);
  const bool set = given.has_value() && !given->empty() && *given != Values{"false"};
  switch (constraint.kind) {
    case ArgumentConstraint::Kind::kRequired:
      return set;
    case ArgumentConstraint::Kind::kForbidden:
      return !set;
    case ArgumentConstraint::Kind::kOneOf:
      break;
  }
  if (!given.has_value()) return false;
  const std::vector<std::string>& allowed = constraint.values;
  const bool any_case = IgnoresCase(constraint.name, action);
  const auto is_allowed = [&allowed, any_case](const std::string& value) {
    return std::any_of(allowed.begin(), allowed.end(), [&](const std::string& one) {
      return any_case ? base::Downcase(one) == base::Downcase(value) : one == value;
    });
  };
  if (doubt == Doubt::kIsYes) {
    return given->empty() || std::any_of(given->begin(), given->end(), is_allowed);
  }
  return !given->empty() && std::all_of(given->begin(), given->end(), is_allowed);
}

}  // namespace orch::policy
