// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "orch/v1/audit_service.pb.h"

// The format of a line of the audit log, and the chain of hashes through all lines. Pure.
//
// A line is a record in proto3 JSON with proto field names: every field, defaults too, in the order
// of their numbers, map entries sorted by key, no white space, control characters and bytes that
// are not UTF-8 escaped, so that a record is one line whatever is in it. Its hash is the SHA-256,
// in lower-case hex, over the bytes of the line as it would be without the field `hash`;
// previous_hash, the hash of the record before (64 zeros for the first), is under it. So each hash
// vouches for all records before, and anybody can check with a few lines of script: cut
// `,"hash":"<64 digits>"` off before the closing brace and compare.

namespace orch::trust {

// The most bytes of a line, without its newline.
inline constexpr size_t kAuditLineMax = 1 << 20;

// The previous_hash of the first record.
std::string FirstPreviousHash();

// The line of `record` without a newline, its hash included and written back into `record`.
std::string AuditLine(orch::v1::AuditRecord* record);

// What links a line into the chain.
struct AuditLink {
  uint64_t sequence = 0;
  std::string previous_hash;
  std::string hash;           // the hash that the line states
  std::string computed_hash;  // the hash of the line as it is; it differs if the line was changed
};
// Reads the link of a line without parsing its record. InvalidArgument: it is not a line of an
// audit log.
absl::StatusOr<AuditLink> ReadAuditLink(absl::string_view line);

absl::StatusOr<orch::v1::AuditRecord> ParseAuditLine(absl::string_view line);

// The kind of the record with which a new file goes on where another one was moved away.
inline constexpr char kContinued[] = "continued";

// Checks the chain, line by line. It begins with record 1, or with one of kind kContinued.
class AuditChain {
 public:
  // With `from_first` the first line given to Follow must be record 1; otherwise the chain begins
  // at whatever record that line is.
  explicit AuditChain(bool from_first) : anywhere_(!from_first) {}

  // Takes the next line. InvalidArgument says why it does not follow the one before. If
  // before_is_bad() is true afterwards, it is the line before that was changed, as far as one can
  // tell.
  absl::Status Follow(absl::string_view line);
  bool before_is_bad() const { return before_is_bad_; }

  uint64_t first() const { return first_; }          // sequence of the first record; 0: none
  uint64_t sequence() const { return sequence_; }    // of the last good record; 0: none
  const std::string& hash() const { return hash_; }  // of the last good record

 private:
  bool anywhere_;
  bool before_is_bad_ = false;
  uint64_t first_ = 0;
  uint64_t sequence_ = 0;
  std::string hash_ = FirstPreviousHash();
};

}  // namespace orch::trust
