// SPDX-License-Identifier: Apache-2.0
#include "base/telemetry/traceparent.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/ids.h"
#include "base/sha256.h"

namespace orch::base {
namespace {

constexpr size_t kLength = 55;  // 00-<32 digits>-<16 digits>-<2 digits>
constexpr size_t kTraceIdAt = 3, kTraceIdSize = 32;
constexpr size_t kSpanIdAt = 36, kSpanIdSize = 16;
constexpr size_t kFlagsAt = 53;
// Others are reserved: they are not passed on.
constexpr uint8_t kKnownFlags = 3;

bool IsHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsId(absl::string_view text) {
  return IsHex(text) && text.find_first_not_of('0') != absl::string_view::npos;
}

}  // namespace

std::string Traceparent::ToString() const {
  if (!has_value()) return "";
  return absl::StrCat("00-", trace_id, "-", span_id, "-", absl::Hex(flags, absl::kZeroPad2));
}

Traceparent ParseTraceparent(absl::string_view header) {
  if (header.size() < kLength) return {};
  const absl::string_view version = header.substr(0, 2);
  if (!IsHex(version) || version == "ff") return {};
  // A later version may have more behind another dash.
  if (header.size() > kLength && (version == "00" || header[kLength] != '-')) return {};
  if (header[2] != '-' || header[kSpanIdAt - 1] != '-' || header[kFlagsAt - 1] != '-') return {};
  const absl::string_view trace_id = header.substr(kTraceIdAt, kTraceIdSize);
  const absl::string_view span_id = header.substr(kSpanIdAt, kSpanIdSize);
  const absl::string_view flags = header.substr(kFlagsAt, 2);
  if (!IsId(trace_id) || !IsId(span_id) || !IsHex(flags)) return {};
  Traceparent out{std::string(trace_id), std::string(span_id)};
  out.flags = static_cast<uint8_t>(absl::HexStringToBytes(flags)[0]) & kKnownFlags;
  return out;
}

Traceparent ChildSpan(const Traceparent& parent, absl::string_view name) {
  if (!parent.has_value()) return {};
  Traceparent out = parent;
  const std::string digest = Sha256(absl::StrCat(parent.trace_id, parent.span_id, name));
  // Zeros are no id; one digest in 2^64 begins with so many.
  out.span_id = Hex(absl::string_view(digest).substr(0, kSpanIdSize / 2));
  if (!IsId(out.span_id)) out.span_id.back() = '1';
  return out;
}

}  // namespace orch::base
