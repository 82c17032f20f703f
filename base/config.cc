// SPDX-License-Identifier: Apache-2.0

// The protobuf message is the schema and is filled by reflection, so a new field of a configuration
// needs no code here and can't be forgotten. The reader is strict where protobuf's own JSON reader
// is not: unknown keys, keys that are given twice and keys without a value are refused with line
// and path, since an operator who misspells `no_crl` must hear of it at start. Durations and times
// have a spelling for people instead of protobuf's.

#include "base/config.h"

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/time_util.h>
#include <yaml-cpp/yaml.h>

#include <cmath>
#include <set>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/nearest.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "base/text.h"

namespace orch::base {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int kDepthMax = 32;

// Walks a YAML document and fills a message by reflection; knows where it is for errors.
class Filler {
 public:
  explicit Filler(absl::string_view name) : name_(name) {}

  absl::Status FillMessage(const YAML::Node& node, const std::string& path, int depth,
                           Message* out) {
    if (depth > kDepthMax) return Error(node, path, "nested too deeply");
    if (node.IsNull()) return absl::OkStatus();
    if (!node.IsMap()) return Error(node, path, "expected a mapping of fields");
    std::set<std::string> seen;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) return Error(entry.first, path, "a key must be a plain word");
      const std::string& key = entry.first.Scalar();
      const std::string inner = path.empty() ? key : absl::StrCat(path, ".", key);
      if (!seen.insert(key).second) return Error(entry.first, inner, "is given twice");
      const FieldDescriptor* field = out->GetDescriptor()->FindFieldByName(key);
      if (field == nullptr) {
        return Error(entry.first, inner,
                     absl::StrCat("no such field", DidYouMean(key, *out->GetDescriptor())));
      }
      if (entry.second.IsNull()) return Error(entry.first, inner, "has no value");
      ORCH_RETURN_IF_ERROR(FillField(entry.second, *field, inner, depth, out));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Error(const YAML::Node& node, absl::string_view path, absl::string_view why) const {
    std::string where = name_;
    if (node.IsDefined() && node.Mark().line >= 0)
      absl::StrAppend(&where, ":", node.Mark().line + 1);
    if (!path.empty()) absl::StrAppend(&where, ": ", path);
    return absl::InvalidArgumentError(absl::StrCat(where, ": ", why));
  }

  static std::string DidYouMean(const std::string& key, const Descriptor& descriptor) {
    std::vector<std::string> known;
    for (int i = 0; i < descriptor.field_count(); ++i) known.push_back(descriptor.field(i)->name());
    const std::string nearest = Nearest(key, known);
    return nearest.empty() ? absl::StrCat("; known: ", absl::StrJoin(known, ", "))
                           : absl::StrCat(", did you mean `", nearest, "`?");
  }

  absl::Status FillField(const YAML::Node& node, const FieldDescriptor& field,
                         const std::string& path, int depth, Message* out) {
    if (node.IsNull()) return Error(node, path, "has no value");
    const Reflection& reflection = *out->GetReflection();
    if (field.is_map()) return FillMap(node, field, path, depth, out);
    if (field.is_repeated()) {
      if (!node.IsSequence()) return Error(node, path, "expected a list");
      int index = 0;
      for (const YAML::Node& element : node) {
        const std::string inner = absl::StrCat(path, "[", index++, "]");
        if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
          ORCH_RETURN_IF_ERROR(
              FillMessageField(element, inner, depth, reflection.AddMessage(out, &field)));
        } else {
          ORCH_RETURN_IF_ERROR(FillScalar(element, field, inner, out));
        }
      }
      return absl::OkStatus();
    }
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      return FillMessageField(node, path, depth, reflection.MutableMessage(out, &field));
    }
    return FillScalar(node, field, path, out);
  }

  absl::Status FillMessageField(const YAML::Node& node, const std::string& path, int depth,
                                Message* out) {
    const std::string& type = out->GetDescriptor()->full_name();
    if (type == "google.protobuf.Duration") {
      if (!node.IsScalar()) return Error(node, path, "expected a duration such as 90s or 5m");
      absl::StatusOr<absl::Duration> value = ParseDuration(node.Scalar());
      if (!value.ok()) return Error(node, path, value.status().message());
      *static_cast<google::protobuf::Duration*>(out) = ToProtoDuration(*value);
      return absl::OkStatus();
    }
    if (type == "google.protobuf.Timestamp") {
      if (!node.IsScalar() || !google::protobuf::util::TimeUtil::FromString(
                                  node.Scalar(), static_cast<google::protobuf::Timestamp*>(out))) {
        return Error(node, path, "expected a time such as 2026-01-31T12:00:00Z");
      }
      return absl::OkStatus();
    }
    return FillMessage(node, path, depth + 1, out);
  }

  absl::Status FillMap(const YAML::Node& node, const FieldDescriptor& field,
                       const std::string& path, int depth, Message* out) {
    if (!node.IsMap()) return Error(node, path, "expected a mapping");
    const FieldDescriptor& key_field = *field.message_type()->map_key();
    const FieldDescriptor& value_field = *field.message_type()->map_value();
    std::set<std::string> seen;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) return Error(entry.first, path, "a key must be a plain word");
      const std::string& key = entry.first.Scalar();
      const std::string inner = absl::StrCat(path, ".", key);
      if (!seen.insert(key).second) return Error(entry.first, inner, "is given twice");
      Message* pair = out->GetReflection()->AddMessage(out, &field);
      ORCH_RETURN_IF_ERROR(FillScalar(entry.first, key_field, inner, pair));
      ORCH_RETURN_IF_ERROR(FillField(entry.second, value_field, inner, depth, pair));
    }
    return absl::OkStatus();
  }

  template <typename T, bool (*Parse)(absl::string_view, T*)>
  absl::StatusOr<T> Number(const YAML::Node& node, const std::string& path) const {
    T value;
    if (!Parse(node.Scalar(), &value)) {
      return Error(node, path,
                   absl::StrCat("expected a number, found `", absl::CEscape(node.Scalar()), "`"));
    }
    return value;
  }

  absl::Status FillScalar(const YAML::Node& node, const FieldDescriptor& field,
                          const std::string& path, Message* out) {
    if (!node.IsScalar()) return Error(node, path, "expected one value");
    const Reflection& r = *out->GetReflection();
    const bool add = field.is_repeated();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        add ? r.AddString(out, &field, node.Scalar()) : r.SetString(out, &field, node.Scalar());
        return absl::OkStatus();
      case FieldDescriptor::CPPTYPE_BOOL: {
        if (node.Scalar() != "true" && node.Scalar() != "false")
          return Error(node, path, "expected true or false");
        const bool value = node.Scalar() == "true";
        add ? r.AddBool(out, &field, value) : r.SetBool(out, &field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_INT32: {
        ORCH_ASSIGN_OR_RETURN(int32_t value,
                              (Number<int32_t, absl::SimpleAtoi<int32_t>>(node, path)));
        add ? r.AddInt32(out, &field, value) : r.SetInt32(out, &field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_UINT32: {
        ORCH_ASSIGN_OR_RETURN(uint32_t value,
                              (Number<uint32_t, absl::SimpleAtoi<uint32_t>>(node, path)));
        add ? r.AddUInt32(out, &field, value) : r.SetUInt32(out, &field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_INT64: {
        ORCH_ASSIGN_OR_RETURN(int64_t value,
                              (Number<int64_t, absl::SimpleAtoi<int64_t>>(node, path)));
        add ? r.AddInt64(out, &field, value) : r.SetInt64(out, &field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_UINT64: {
        ORCH_ASSIGN_OR_RETURN(uint64_t value,
                              (Number<uint64_t, absl::SimpleAtoi<uint64_t>>(node, path)));
        add ? r.AddUInt64(out, &field, value) : r.SetUInt64(out, &field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_DOUBLE: {
        ORCH_ASSIGN_OR_RETURN(double value, (Number<double, absl::SimpleAtod>(node, path)));
        if (!std::isfinite(value)) return Error(node, path, "expected a number");
        add ? r.AddDouble(out, &field, value) : r.SetDouble(out, &field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_ENUM:
        return FillEnum(node, field, path, out);
      case FieldDescriptor::CPPTYPE_FLOAT:
      case FieldDescriptor::CPPTYPE_MESSAGE:
        break;
    }
    return Error(node, path, "cannot be set from a file");
  }

  absl::Status FillEnum(const YAML::Node& node, const FieldDescriptor& field,
                        const std::string& path, Message* out) {
    const EnumDescriptor& type = *field.enum_type();
    // FLAVOUR_UNSPECIFIED gives the prefix FLAVOUR_.
    std::string prefix = type.value(0)->name();
    if (absl::EndsWith(prefix, "UNSPECIFIED")) prefix.resize(prefix.size() - 11);
    std::string known;
    for (int i = 1; i < type.value_count(); ++i) {
      const std::string word = absl::AsciiStrToLower(type.value(i)->name().substr(prefix.size()));
      if (word == node.Scalar()) {
        const Reflection& r = *out->GetReflection();
        field.is_repeated() ? r.AddEnum(out, &field, type.value(i))
                            : r.SetEnum(out, &field, type.value(i));
        return absl::OkStatus();
      }
      absl::StrAppend(&known, known.empty() ? "" : ", ", word);
    }
    return Error(node, path, absl::StrCat("expected one of ", known));
  }

  const std::string name_;
};

}  // namespace

absl::Status ParseYaml(absl::string_view text, absl::string_view name, Message* out) {
  out->Clear();
  std::vector<YAML::Node> documents;
  // yaml-cpp reports errors by throwing; they end here.
  try {
    documents = YAML::LoadAll(std::string(SkipBom(text)));
    if (documents.empty()) return absl::OkStatus();
    if (documents.size() > 1) {
      return absl::InvalidArgumentError(absl::StrCat(name, ":", documents[1].Mark().line + 1,
                                                     ": a second document is not allowed"));
    }
    return Filler(name).FillMessage(documents[0], "", 0, out);
  } catch (const YAML::Exception& e) {
    const int line = e.mark.line < 0 ? 1 : e.mark.line + 1;
    return absl::InvalidArgumentError(absl::StrCat(name, ":", line, ": not valid YAML: ", e.msg));
  }
}

absl::Status LoadYaml(const std::string& path, Message* out) {
  ORCH_ASSIGN_OR_RETURN(const std::string text, ReadRightsFile(path));
  return ParseYaml(text, path, out);
}

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  absl::Duration value;
  absl::string_view days;
  const size_t d = text.find('d');
  if (d != absl::string_view::npos) {
    days = text.substr(0, d);
    text.remove_prefix(d + 1);
  }
  int64_t n = 0;
  const bool ok =
      (d == absl::string_view::npos || (absl::SimpleAtoi(days, &n) && n >= 0 && n < 36500)) &&
      (text.empty() ? d != absl::string_view::npos
                    : absl::ascii_isdigit(text[0]) && absl::ParseDuration(text, &value)) &&
      value < absl::Hours(24 * 36500) && (text != "0" || d != absl::string_view::npos);
  if (!ok) return absl::InvalidArgumentError("expected a duration such as 90s, 5m or 1h30m");
  return value + n * absl::Hours(24);
}

}  // namespace orch::base
