// SPDX-License-Identifier: Apache-2.0
// Texts are looked at in their serialised form, because protobuf gives no message where one of them
// is not UTF-8. The descriptor says which of the length-delimited fields are texts, which are
// messages, and which are neither.
#include "api/wire_text.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include "base/text.h"

namespace orch::api {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;
using google::protobuf::io::StringOutputStream;

// Protobuf itself reads no deeper nesting.
constexpr int kDepthMax = 100;
// The bytes of U+FFFD, which takes the place of one.
constexpr size_t kReplacementBytes = 3;

CodedInputStream Input(absl::string_view wire) {
  return CodedInputStream(reinterpret_cast<const uint8_t*>(wire.data()),
                          static_cast<int>(wire.size()));
}

bool Heal(const Descriptor& type, absl::string_view wire, int depth, std::string* out);

// What stands for `piece`, the content of a length-delimited field. False: it is none.
bool HealPiece(const FieldDescriptor* field, const std::string& piece, int depth,
               std::string* out) {
  if (field != nullptr && field->type() == FieldDescriptor::TYPE_STRING) {
    *out = base::ToUtf8(piece, kReplacementBytes * piece.size());
    return true;
  }
  if (field != nullptr && field->type() == FieldDescriptor::TYPE_MESSAGE) {
    return Heal(*field->message_type(), piece, depth + 1, out);
  }
  *out = piece;
  return true;
}

// Copies the field behind `tag` with its texts healed.
bool HealField(const Descriptor& type, uint32_t tag, int depth, CodedInputStream* in,
               CodedOutputStream* out) {
  out->WriteTag(tag);
  uint64_t varint = 0;
  uint32_t size = 0;
  switch (WireFormatLite::GetTagWireType(tag)) {
    case WireFormatLite::WIRETYPE_VARINT:
      if (!in->ReadVarint64(&varint)) return false;
      out->WriteVarint64(varint);
      return true;
    case WireFormatLite::WIRETYPE_FIXED64:
      if (!in->ReadLittleEndian64(&varint)) return false;
      out->WriteLittleEndian64(varint);
      return true;
    case WireFormatLite::WIRETYPE_FIXED32:
      if (!in->ReadLittleEndian32(&size)) return false;
      out->WriteLittleEndian32(size);
      return true;
    case WireFormatLite::WIRETYPE_LENGTH_DELIMITED: {
      std::string piece, healed;
      if (!in->ReadVarint32(&size) || !in->ReadString(&piece, static_cast<int>(size))) return false;
      const auto* field = type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
      if (!HealPiece(field, piece, depth, &healed)) return false;
      out->WriteVarint32(static_cast<uint32_t>(healed.size()));
      out->WriteString(healed);
      return true;
    }
    default:
      return false;  // groups: proto3 has none
  }
}

bool Heal(const Descriptor& type, absl::string_view wire, int depth, std::string* out) {
  if (depth > kDepthMax) return false;
  CodedInputStream in = Input(wire);
  StringOutputStream sink(out);
  CodedOutputStream coded(&sink);
  while (const uint32_t tag = in.ReadTag()) {
    if (!HealField(type, tag, depth, &in, &coded)) return false;
  }
  return in.ConsumedEntireMessage();
}

// Whether all texts of a message that was serialised here are UTF-8.
bool IsReadable(const Descriptor& type, absl::string_view wire) {
  CodedInputStream in = Input(wire);
  while (const uint32_t tag = in.ReadTag()) {
    if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      if (!WireFormatLite::SkipField(&in, tag)) return false;
      continue;
    }
    uint32_t size = 0;
    if (!in.ReadVarint32(&size)) return false;
    const absl::string_view piece = wire.substr(in.CurrentPosition(), size);
    if (!in.Skip(static_cast<int>(size))) return false;
    const auto* field = type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
    if (field == nullptr) continue;
    const bool readable = field->type() == FieldDescriptor::TYPE_STRING ? base::IsUtf8(piece)
                          : field->type() == FieldDescriptor::TYPE_MESSAGE
                              ? IsReadable(*field->message_type(), piece)
                              : true;
    if (!readable) return false;
  }
  return true;
}

}  // namespace

Parsed ParseHealing(absl::string_view bytes, Message* out) {
  if (out->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return Parsed::kWhole;
  std::string healed;
  if (Heal(*out->GetDescriptor(), bytes, 0, &healed) && out->ParseFromString(healed)) {
    return Parsed::kHealed;
  }
  out->Clear();
  return Parsed::kBroken;
}

std::string SerializeHealing(const Message& message) {
  std::string bytes = message.SerializeAsString();
  if (IsReadable(*message.GetDescriptor(), bytes)) return bytes;
  std::string healed;
  return Heal(*message.GetDescriptor(), bytes, 0, &healed) ? healed : bytes;
}

}  // namespace orch::api
