// SPDX-License-Identifier: Apache-2.0
#include "api/action_words.h"

#include <google/protobuf/text_format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "api/catalog.h"
#include "api/json.h"
#include "base/proto_time.h"

namespace orch::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string Quoted(const std::string& text) {
  bool plain = !text.empty();
  for (const unsigned char c : text) {
    plain = plain && (c >= 0x80 || absl::ascii_isalnum(c) ||
                      absl::StrContains("._:/@%+-", static_cast<char>(c)));
  }
  return plain ? text : absl::StrCat("\"", absl::Utf8SafeCEscape(text), "\"");
}

// One value; of a repeated field the one at `index`.
std::string ValueText(const Message& message, const FieldDescriptor& field, int index) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string text = field.is_repeated()
                                   ? reflection.GetRepeatedString(message, &field, index)
                                   : reflection.GetString(message, &field);
      return field.type() == FieldDescriptor::TYPE_BYTES ? absl::BytesToHexString(text)
                                                         : Quoted(text);
    }
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      const Message& value = field.is_repeated()
                                 ? reflection.GetRepeatedMessage(message, &field, index)
                                 : reflection.GetMessage(message, &field);
      if (const auto* time = dynamic_cast<const google::protobuf::Duration*>(&value)) {
        return absl::StrCat(absl::ToDoubleSeconds(ToDuration(*time)), "s");
      }
      return Quoted(value.ShortDebugString());
    }
    default: {
      std::string text;
      google::protobuf::TextFormat::PrintFieldValueToString(
          message, &field, field.is_repeated() ? index : -1, &text);
      return text;
    }
  }
}

std::string Argument(const Message& message, const ArgumentInfo& argument) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  const FieldDescriptor& field = *argument.field;
  const std::string flag = absl::StrReplaceAll(argument.name, {{"_", "-"}});
  if (field.is_repeated()) {
    std::string values;
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      absl::StrAppend(&values, i == 0 ? "" : ",", ValueText(message, field, i));
    }
    return values.empty() ? "" : absl::StrCat(" --", flag, " ", values);
  }
  if (!reflection.HasField(message, &field)) return "";
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) {
    return absl::StrCat(reflection.GetBool(message, &field) ? " --" : " --no-", flag);
  }
  return absl::StrCat(" --", flag, " ", ValueText(message, field, 0));
}

std::string External(const orch::v1::ExternalAction& action) {
  std::string words = action.name();
  const nlohmann::json arguments = FromStruct(action.arguments());
  for (const auto& [key, value] : arguments.items()) {
    absl::StrAppend(&words, " ", key, "=",
                    Quoted(value.is_string() ? value.get<std::string>() : value.dump()));
  }
  return words;
}

}  // namespace

std::string ActionWords(const orch::v1::Action& action) {
  if (action.has_external()) return External(action.external());
  const ActionInfo* info = InfoOf(action);
  if (info == nullptr) return NameOf(action);
  const Message& message = action.GetReflection()->GetMessage(action, info->arm);
  std::string words = info->name;
  for (const ArgumentInfo& argument : info->arguments) {
    if (!argument.options.sensitive()) absl::StrAppend(&words, Argument(message, argument));
  }
  return words;
}

}  // namespace orch::api
