// SPDX-License-Identifier: Apache-2.0
#include "api/catalog.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/errors.h"
#include "base/proto_time.h"
#include "base/sha256.h"

namespace orch::api {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

std::string TypeWords(const FieldDescriptor& field) {
  std::string word;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      word = "true|false";
      break;
    case FieldDescriptor::CPPTYPE_STRING:
      word = field.type() == FieldDescriptor::TYPE_BYTES ? "hex" : "text";
      break;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      word = field.message_type()->full_name() == "google.protobuf.Duration" ? "duration"
                                                                             : "JSON object";
      break;
    default:
      word = "number";
  }
  return field.is_repeated() ? absl::StrCat("list of ", word) : word;
}

ActionInfo Read(const FieldDescriptor& arm) {
  const Descriptor& message = *arm.message_type();
  const orch::v1::ActionOptions& options = message.options().GetExtension(orch::v1::action);
  ActionInfo info;
  info.name = options.name();
  info.summary = options.summary();
  info.mutates = options.mutates();
  info.answer_timeout = ToDuration(options.answer_timeout());
  info.run_timeout = ToDuration(options.run_timeout());
  info.arm = &arm;
  std::string canonical = absl::StrCat(info.name, info.mutates ? " mutates\n" : "\n");
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    ArgumentInfo argument;
    argument.name = field.name();
    argument.type = TypeWords(field);
    argument.field = &field;
    argument.options = field.options().GetExtension(orch::v1::argument);
    absl::StrAppend(&canonical, field.number(), " ", field.name(), " ", argument.type, " ",
                    argument.options.pattern(), "\n");
    info.arguments.push_back(std::move(argument));
  }
  info.schema_digest = base::Sha256(canonical);
  return info;
}

// Fields that the API has set aside for what is not built yet, so that who asks for one is told its
// name; the list is in orch/v1/job.proto.
std::string ReservedName(const google::protobuf::Descriptor& message, int number) {
  constexpr int kFirst = 10;
  constexpr const char* kRollout[] = {"canary_spread", "settle", "steps",
                                      "ramp",          "rate",   "order",
                                      "last",          "per",    "max_new_failures",
                                      "max_unhealthy", "guards", "progress_deadline",
                                      "on_halt",       "retry",  "quorum",
                                      "before",        "after",  "wait_for_absent",
                                      "window",        "limits"};
  if (message.full_name() != "orch.v1.Rollout") return "";
  const int index = number - kFirst;
  return index >= 0 && index < static_cast<int>(std::size(kRollout)) ? kRollout[index] : "";
}

absl::Status RefuseUnknownIn(const Message& message, const std::string& path) {
  const Reflection& reflection = *message.GetReflection();
  if (reflection.GetUnknownFields(message).field_count() > 0) {
    const int number = reflection.GetUnknownFields(message).field(0).number();
    if (const std::string name = ReservedName(*message.GetDescriptor(), number); !name.empty()) {
      return Error(absl::StatusCode::kInvalidArgument, "NOT_SUPPORTED",
                   absl::StrCat(path, ".", name, " is not supported by this version"));
    }
    return absl::InvalidArgumentError(absl::StrCat("unknown field ", number, " in ", path));
  }
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string inner = absl::StrCat(path, ".", field->name());
    const int size = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < size; ++i) {
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
        const int value = field->is_repeated() ? reflection.GetRepeatedEnumValue(message, field, i)
                                               : reflection.GetEnumValue(message, field);
        if (field->enum_type()->FindValueByNumber(value) == nullptr) {
          return absl::InvalidArgumentError(absl::StrCat("unknown value ", value, " of ", inner));
        }
      } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        const Message& child = field->is_repeated()
                                   ? reflection.GetRepeatedMessage(message, field, i)
                                   : reflection.GetMessage(message, field);
        const absl::Status status = RefuseUnknownIn(child, inner);
        if (!status.ok()) return status;
      }
    }
  }
  return absl::OkStatus();
}

// The message inside the oneof, or null.
const Message* ArmOf(const orch::v1::Action& action, const FieldDescriptor** field) {
  const auto* oneof = orch::v1::Action::descriptor()->FindOneofByName("kind");
  *field = action.GetReflection()->GetOneofFieldDescriptor(action, oneof);
  return *field == nullptr ? nullptr : &action.GetReflection()->GetMessage(action, *field);
}

}  // namespace

const std::vector<ActionInfo>& Actions() {
  static const std::vector<ActionInfo>* const actions = [] {
    auto* out = new std::vector<ActionInfo>;
    const Descriptor& descriptor = *orch::v1::Action::descriptor();
    for (int i = 0; i < descriptor.field_count(); ++i) {
      const FieldDescriptor& arm = *descriptor.field(i);
      if (arm.message_type()->options().HasExtension(orch::v1::action)) out->push_back(Read(arm));
    }
    std::sort(out->begin(), out->end(),
              [](const ActionInfo& a, const ActionInfo& b) { return a.name < b.name; });
    return out;
  }();
  return *actions;
}

const ActionInfo* FindAction(absl::string_view name) {
  for (const ActionInfo& info : Actions()) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

const ActionInfo* InfoOf(const orch::v1::Action& action) {
  const FieldDescriptor* field = nullptr;
  if (ArmOf(action, &field) == nullptr) return nullptr;
  for (const ActionInfo& info : Actions()) {
    if (info.arm == field) return &info;
  }
  return nullptr;
}

std::string NameOf(const orch::v1::Action& action) {
  if (action.has_external()) return action.external().name();
  const ActionInfo* info = InfoOf(action);
  return info == nullptr ? "" : info->name;
}

bool Mutates(const orch::v1::Action& action) {
  const ActionInfo* info = InfoOf(action);
  return info == nullptr || info->mutates;
}

absl::Status RefuseUnknown(const Message& message) {
  return RefuseUnknownIn(message, message.GetDescriptor()->name());
}

bool RedactSensitive(orch::v1::Action* action) {
  const FieldDescriptor* arm = nullptr;
  if (ArmOf(*action, &arm) == nullptr) return false;
  Message* message = action->GetReflection()->MutableMessage(action, arm);
  bool any = false;
  std::vector<const FieldDescriptor*> fields;
  message->GetReflection()->ListFields(*message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (!field->options().GetExtension(orch::v1::argument).sensitive()) continue;
    message->GetReflection()->ClearField(message, field);
    any = true;
  }
  return any;
}

std::string ArgumentDigest(const orch::v1::Action& action) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    action.SerializeToCodedStream(&coded);
  }
  return base::HexSha256(bytes);
}

}  // namespace orch::api
