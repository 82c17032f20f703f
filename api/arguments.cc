// SPDX-License-Identifier: Apache-2.0
// The arguments of actions: checked against their options, and built from `key=value` words.
#include <google/protobuf/struct.pb.h>
#include <re2/re2.h>

#include <algorithm>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "api/catalog.h"
#include "api/errors.h"
#include "api/json.h"
#include "base/config.h"
#include "base/proto_time.h"
#include "base/status.h"

namespace orch::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr absl::Duration kDurationMax = absl::Hours(24 * 7);

absl::Status CheckText(const std::string& value, const orch::v1::ArgumentOptions& options,
                       const std::string& path) {
  const size_t max = options.max_length() != 0 ? options.max_length() : 1024;
  if (value.size() > max) return BadField(path, absl::StrCat("longer than ", max, " bytes"));
  if (std::any_of(value.begin(), value.end(),
                  [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); })) {
    return BadField(path, "control characters are not allowed");
  }
  if (!options.pattern().empty() && !RE2::FullMatch(value, options.pattern())) {
    return BadField(path, absl::StrCat("`", absl::Utf8SafeCEscape(value), "` does not match ",
                                       options.pattern()));
  }
  return absl::OkStatus();
}

absl::Status CheckDuration(const Message& message, const std::string& path) {
  const absl::Duration value = ToDuration(static_cast<const google::protobuf::Duration&>(message));
  if (value < absl::ZeroDuration() || value > kDurationMax) {
    return BadField(path, "must be between 0s and 7d");
  }
  return absl::OkStatus();
}

absl::Status CheckArgument(const Message& message, const ArgumentInfo& argument,
                           const std::string& path) {
  const Reflection& r = *message.GetReflection();
  const FieldDescriptor& field = *argument.field;
  const int size =
      field.is_repeated() ? r.FieldSize(message, &field) : (r.HasField(message, &field) ? 1 : 0);
  if (size == 0)
    return argument.options.required() ? BadField(path, "is required") : absl::OkStatus();
  const int max_items = argument.options.max_items() != 0 ? argument.options.max_items() : 64;
  if (size > max_items) return BadField(path, absl::StrCat("more than ", max_items, " entries"));
  for (int i = 0; i < size; ++i) {
    const std::string inner = field.is_repeated() ? absl::StrCat(path, "[", i, "]") : path;
    if (field.type() == FieldDescriptor::TYPE_STRING) {
      const std::string value = field.is_repeated() ? r.GetRepeatedString(message, &field, i)
                                                    : r.GetString(message, &field);
      ORCH_RETURN_IF_ERROR(CheckText(value, argument.options, inner));
    } else if (argument.type == "duration") {
      ORCH_RETURN_IF_ERROR(CheckDuration(r.GetMessage(message, &field), inner));
    }
  }
  return absl::OkStatus();
}

absl::Status SetArgument(const ArgumentInfo& argument, absl::string_view text, Message* out) {
  const Reflection& r = *out->GetReflection();
  const FieldDescriptor* field = argument.field;
  const auto bad = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("argument ", argument.name, ": ", why));
  };
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_BOOL) {
    if (text != "true" && text != "false") return bad("expected true or false");
    r.SetBool(out, field, text == "true");
  } else if (field->is_repeated()) {
    for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
      r.AddString(out, field, std::string(part));
    }
  } else if (field->type() == FieldDescriptor::TYPE_STRING) {
    r.SetString(out, field, std::string(text));
  } else if (argument.type == "duration") {
    absl::StatusOr<absl::Duration> value = base::ParseDuration(text);
    if (!value.ok()) return bad(value.status().message());
    *static_cast<google::protobuf::Duration*>(r.MutableMessage(out, field)) =
        ToProtoDuration(*value);
  } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    const absl::Status status = FromJson(text, r.MutableMessage(out, field));
    if (!status.ok()) return bad(status.message());
  } else {
    return bad("cannot be given in words");
  }
  return absl::OkStatus();
}

std::string Known(const ActionInfo& info) {
  std::string out;
  for (const ArgumentInfo& a : info.arguments)
    absl::StrAppend(&out, out.empty() ? "" : ", ", a.name);
  return out.empty() ? "it takes none" : absl::StrCat("known: ", out);
}

absl::StatusOr<orch::v1::Action> ParseExternal(absl::string_view name,
                                               const std::vector<std::string>& words) {
  orch::v1::Action action;
  action.mutable_external()->set_name(std::string(name));
  nlohmann::json arguments = nlohmann::json::object();
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("argument `", word, "`: expected key=value"));
    }
    const std::string text = word.substr(equals + 1);
    const nlohmann::json parsed = nlohmann::json::parse(text, nullptr, false);
    arguments[word.substr(0, equals)] = parsed.is_discarded() ? nlohmann::json(text) : parsed;
  }
  *action.mutable_external()->mutable_arguments() = ToStruct(arguments);
  return action;
}

}  // namespace

absl::Status Validate(const orch::v1::Action& action, absl::string_view path) {
  const ActionInfo* info = InfoOf(action);
  if (info == nullptr) {
    if (!action.has_external()) return BadField(path, "no action is set");
    static const RE2* const pattern = new RE2("[a-z][a-z0-9_]{0,63}\\.[a-z][a-z0-9_]{0,63}");
    if (!RE2::FullMatch(action.external().name(), *pattern)) {
      return BadField(absl::StrCat(path, ".external.name"),
                      "expected <group>.<verb> in lower case");
    }
    if (FindAction(action.external().name()) != nullptr) {
      return BadField(absl::StrCat(path, ".external.name"),
                      "is a built-in action; set its own field");
    }
    return absl::OkStatus();
  }
  const Message& arm = action.GetReflection()->GetMessage(action, info->arm);
  for (const ArgumentInfo& argument : info->arguments) {
    ORCH_RETURN_IF_ERROR(CheckArgument(
        arm, argument, absl::StrCat(path, ".", info->arm->name(), ".", argument.name)));
  }
  return absl::OkStatus();
}

absl::StatusOr<orch::v1::Action> Parse(absl::string_view name,
                                       const std::vector<std::string>& words) {
  const ActionInfo* info = FindAction(name);
  if (info == nullptr) {
    if (absl::StartsWith(name, "node.") || absl::StartsWith(name, "puppet.") ||
        !absl::StrContains(name, '.')) {
      std::string known;
      for (const ActionInfo& i : Actions())
        absl::StrAppend(&known, known.empty() ? "" : ", ", i.name);
      return absl::InvalidArgumentError(
          absl::StrCat("unknown action `", name, "`; there are ", known));
    }
    return ParseExternal(name, words);
  }
  orch::v1::Action action;
  Message* arm = action.GetReflection()->MutableMessage(&action, info->arm);
  std::set<std::string> given;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("argument `", word, "`: expected key=value"));
    }
    const std::string key = word.substr(0, equals);
    const auto argument = std::find_if(info->arguments.begin(), info->arguments.end(),
                                       [&key](const ArgumentInfo& a) { return a.name == key; });
    if (argument == info->arguments.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " has no argument `", key, "`; ", Known(*info)));
    }
    if (!given.insert(key).second && !argument->field->is_repeated()) {
      return absl::InvalidArgumentError(absl::StrCat("argument ", key, ": is given twice"));
    }
    ORCH_RETURN_IF_ERROR(SetArgument(*argument, absl::string_view(word).substr(equals + 1), arm));
  }
  return action;
}

}  // namespace orch::api
