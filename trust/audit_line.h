// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "orch/v1/audit_service.pb.h"

// One line of the audit log. Pure.
//
// A line is a record in proto3 JSON with proto field names: every field, defaults too, in the order
// of their numbers, map entries sorted by key, no white space, control characters and bytes that
// are not UTF-8 escaped, so that a record is one line whatever is in it. Its hash is the SHA-256,
// in lower-case hex, over the bytes of the line as it would be without the field `hash`;
// previous_hash, the hash of the record before (64 zeros for the first), is under it. So each hash
// vouches for all records before, and anybody can check with a few lines of script: cut
// `,"hash":"<64 digits>"` off before the closing brace and compare.

namespace orch::trust {

// Bytes of a line, without the newline.
inline constexpr size_t kAuditLineMax = 1 << 20;

// The previous_hash of the first record.
std::string FirstPreviousHash();

// The line of `record` without a newline, its hash included and written back into `record`.
std::string AuditLine(orch::v1::AuditRecord* record);

// What links a line into the chain.
struct AuditLink {
  uint64_t sequence = 0;
  std::string previous_hash;
  std::string hash;           // as the line says
  std::string computed_hash;  // of the line as it stands
};
// InvalidArgument: it is not such a line.
absl::StatusOr<AuditLink> ReadAuditLink(absl::string_view line);

absl::StatusOr<orch::v1::AuditRecord> ParseAuditLine(absl::string_view line);

// Follows the chain, line by line.
class AuditChain {
 public:
  // From the first record, or from wherever the first line given to Follow stands.
  explicit AuditChain(bool from_first) : anywhere_(!from_first) {}

  // InvalidArgument with why the line does not follow. The line before was the bad one, as far as
  // one can tell, where `before_is_bad()` is true afterwards.
  absl::Status Follow(absl::string_view line);
  bool before_is_bad() const { return before_is_bad_; }

  uint64_t sequence() const { return sequence_; }    // of the last good record; 0: none
  const std::string& hash() const { return hash_; }  // of the last good record

 private:
  bool anywhere_;
  bool before_is_bad_ = false;
  uint64_t sequence_ = 0;
  std::string hash_ = FirstPreviousHash();
};

}  // namespace orch::trust
