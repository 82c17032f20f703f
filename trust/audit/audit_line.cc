// SPDX-License-Identifier: Apache-2.0

// Lines are written by hand and not by protobuf's JSON printer, because a hash is over bytes:
// another release of protobuf may order, space or escape differently, and every old line would look
// changed. For the same reason a line is verified without being parsed: its hash is cut off as
// text, so that what a record says in fields that this build does not know is covered too. Every
// character that could end a line or turn the direction of writing is escaped; bytes that are not
// UTF-8 become U+FFFD.

#include "trust/audit/audit_line.h"

#include <google/protobuf/util/time_util.h>

#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "api/json.h"
#include "base/sha256.h"
#include "base/status.h"
#include "base/text.h"

namespace orch::trust {
namespace {

constexpr size_t kHashSize = 64;
constexpr absl::string_view kHashKey = ",\"hash\":\"";
constexpr absl::string_view kPreviousKey = ",\"previous_hash\":\"";
constexpr absl::string_view kSequenceKey = "{\"sequence\":\"";

// Whether a terminal or an editor would not just show it: controls, line separators, and what turns
// the direction of writing.
bool IsTreacherous(char32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x200e && code <= 0x200f) ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

void AppendString(absl::string_view text, std::string* out) {
  out->push_back('"');
  while (!text.empty()) {
    char32_t code = 0;
    size_t size = base::Utf8Length(text, 0, &code);
    if (size == 0) {
      out->append("\\ufffd");
      size = 1;
    } else if (code == '"' || code == '\\') {
      out->push_back('\\');
      out->push_back(static_cast<char>(code));
    } else if (IsTreacherous(code)) {
      absl::StrAppendFormat(out, "\\u%04x", static_cast<uint32_t>(code));
    } else {
      absl::StrAppend(out, text.substr(0, size));
    }
    text.remove_prefix(size);
  }
  out->push_back('"');
}

// The line without the field hash.
std::string HashedPart(const orch::v1::AuditRecord& record) {
  std::string out = absl::StrCat(kSequenceKey, record.sequence(), "\"");
  const auto add_string = [&out](absl::string_view key, absl::string_view value) {
    absl::StrAppend(&out, ",\"", key, "\":");
    AppendString(value, &out);
  };
  if (record.has_time()) {
    add_string("time", google::protobuf::util::TimeUtil::ToString(record.time()));
  } else {
    absl::StrAppend(&out, ",\"time\":null");
  }
  add_string("kind", record.kind());
  add_string("caller", record.caller());
  add_string("certificate_serial", record.certificate_serial());
  add_string("peer", record.peer());
  add_string("action", record.action());
  add_string("argument_digest", record.argument_digest());
  if (!record.arguments().empty()) add_string("arguments", record.arguments());
  add_string("target", record.target());
  absl::StrAppend(&out, ",\"resolved\":", record.resolved());
  add_string("decision", record.decision());
  add_string("rule", record.rule());
  add_string("job", record.job());
  absl::StrAppend(&out, ",\"outcomes\":{");
  const std::map<std::string, uint32_t> outcomes(record.outcomes().begin(),
                                                 record.outcomes().end());
  absl::string_view comma;
  for (const auto& [name, count] : outcomes) {
    absl::StrAppend(&out, comma);
    AppendString(name, &out);
    absl::StrAppend(&out, ":", count);
    comma = ",";
  }
  absl::StrAppend(&out, "}");
  add_string("reason", record.reason());
  if (!record.on_behalf_of().empty()) add_string("on_behalf_of", record.on_behalf_of());
  absl::StrAppend(&out, ",\"validate_only\":", record.validate_only() ? "true" : "false");
  add_string("previous_hash", record.previous_hash());
  absl::StrAppend(&out, "}");
  return out;
}

bool IsHash(absl::string_view text) {
  if (text.size() != kHashSize) return false;
  for (const char c : text) {
    if (!absl::ascii_isdigit(c) && (c < 'a' || c > 'f')) return false;
  }
  return true;
}

// Takes `<key><64 digits>"` off the end of `*text`.
bool TakeHash(absl::string_view key, absl::string_view* text, std::string* out) {
  if (!absl::ConsumeSuffix(text, "\"") || text->size() < kHashSize) return false;
  const absl::string_view hash = text->substr(text->size() - kHashSize);
  if (!IsHash(hash)) return false;
  out->assign(hash.data(), hash.size());
  text->remove_suffix(kHashSize);
  return absl::ConsumeSuffix(text, key);
}

std::string Range(uint64_t first, uint64_t last) {
  return first == last ? absl::StrCat("record ", first, " is missing")
                       : absl::StrCat("records ", first, "-", last, " are missing");
}

}  // namespace

std::string FirstPreviousHash() { return std::string(kHashSize, '0'); }

std::string AuditLine(orch::v1::AuditRecord* record) {
  std::string out = HashedPart(*record);
  record->set_hash(base::HexSha256(out));
  out.pop_back();
  absl::StrAppend(&out, kHashKey, record->hash(), "\"}");
  return out;
}

absl::StatusOr<AuditLink> ReadAuditLink(absl::string_view line) {
  AuditLink out;
  absl::string_view rest = line;
  const size_t digits = line.find('"', kSequenceKey.size());
  if (line.size() > kAuditLineMax || !absl::StartsWith(line, kSequenceKey) ||
      digits == absl::string_view::npos ||
      !absl::SimpleAtoi(line.substr(kSequenceKey.size(), digits - kSequenceKey.size()),
                        &out.sequence) ||
      !absl::ConsumeSuffix(&rest, "}") || !TakeHash(kHashKey, &rest, &out.hash)) {
    return absl::InvalidArgumentError("not an audit record");
  }
  out.computed_hash = base::HexSha256(absl::StrCat(rest, "}"));
  if (!TakeHash(kPreviousKey, &rest, &out.previous_hash)) {
    return absl::InvalidArgumentError("not an audit record");
  }
  return out;
}

absl::StatusOr<orch::v1::AuditRecord> ParseAuditLine(absl::string_view line) {
  orch::v1::AuditRecord out;
  ORCH_RETURN_IF_ERROR(api::FromJson(line, &out));
  return out;
}

absl::Status AuditChain::Follow(absl::string_view line) {
  before_is_bad_ = false;
  const uint64_t expected = sequence_ + 1;
  const absl::StatusOr<AuditLink> read = ReadAuditLink(line);
  if (!read.ok()) {
    return absl::InvalidArgumentError(
        anywhere_ ? "not an audit record"
                  : absl::StrCat("not an audit record, where record ", expected, " should be"));
  }
  const AuditLink& link = *read;
  if (link.computed_hash != link.hash) {
    return absl::InvalidArgumentError(absl::StrCat("record ", link.sequence,
                                                   " was changed: its hash is ", link.computed_hash,
                                                   ", and it says ", link.hash));
  }
  if (sequence_ == 0 && link.sequence > 1 && !anywhere_) {
    const absl::StatusOr<orch::v1::AuditRecord> record = ParseAuditLine(line);
    anywhere_ = record.ok() && record->kind() == kContinued;
  }
  if (!anywhere_ && link.sequence > expected) {
    return absl::InvalidArgumentError(Range(expected, link.sequence - 1));
  }
  if (!anywhere_ && link.sequence < expected) {
    return absl::InvalidArgumentError(
        absl::StrCat("record ", link.sequence, " stands where record ", expected, " should be"));
  }
  if (!anywhere_ && link.previous_hash != hash_) {
    before_is_bad_ = sequence_ > 0;
    return absl::InvalidArgumentError(
        before_is_bad_ ? absl::StrCat("record ", sequence_, " is not the one that record ",
                                      link.sequence, " follows: its hash is ", hash_,
                                      ", and that one names ", link.previous_hash)
                       : absl::StrCat("record 1 follows a record ", link.previous_hash,
                                      ", and the first has none before it"));
  }
  anywhere_ = false;
  if (first_ == 0) first_ = link.sequence;
  sequence_ = link.sequence;
  hash_ = link.hash;
  return absl::OkStatus();
}

}  // namespace orch::trust
