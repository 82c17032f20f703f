// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "orch/v1/audit_service.pb.h"
#include "trust/audit/audit_anchor.h"

// The hash-chained audit log: one JSON line per record, each carrying the hash of the one before
// (trust/audit/audit_line.h says exactly how). Blocking (write and fsync): lives on the store
// thread. Not thread-safe, except that List may be called from any thread at any time, so that a
// long search delays no decision.
//
// The chain shows an edit, a deletion, a swap or an insertion. That its end was cut off, or that it
// was emptied, shows beside the last record that was written, which `<path>.last` keeps
// (trust/audit/audit_anchor.h). Who may write that file too can do without it: for that, compare
// AuditVerdict::last_hash with one kept elsewhere.
//
// A log that was moved away (rotated) is continued in a new file, from a record of kind
// `continued`.

namespace orch::trust {

class AuditLog {
 public:
  // Opens the file, or creates it with mode 0600, and reads its last record. A last line that was
  // torn by a crash is moved aside into `<path>.torn`, and a `repaired` record says so; any other
  // damage at the end is an error, and so is a log without the record that `<path>.last` names.
  static absl::StatusOr<std::unique_ptr<AuditLog>> Open(const std::string& path);
  virtual ~AuditLog() = default;
  // Fills in sequence, previous_hash and hash of each record and writes them all with one fsync.
  // After an error none of them counts, and every later Append fails until the log is opened anew.
  virtual absl::Status Append(std::vector<orch::v1::AuditRecord>* records) = 0;
  // At most `limit` records before `before_sequence` (0: from the end), the newest first. If there
  // are fewer, the log has no more.
  virtual absl::StatusOr<std::vector<orch::v1::AuditRecord>> List(uint64_t before_sequence,
                                                                  int limit) const = 0;
};

// What a check of a whole file found; `orchctl audit verify` prints it.
struct AuditVerdict {
  uint64_t records = 0;
  bool intact = false;
  uint64_t bad_line = 0;  // the first bad record's line, from 1
  std::string why;        // `record 17 was changed: its hash is …`, `records 12-13 are
                          // missing`
  std::string last_hash;  // of the last good record: compare it with a copy kept
                          // elsewhere
  uint64_t first = 0;     // sequence of the first record; above 1 it continues another file
  uint64_t last = 0;      // of the last good record
};
// With `against`: the file must also have that record.
absl::StatusOr<AuditVerdict> VerifyAuditFile(const std::string& path,
                                             std::optional<AuditAnchor> against = std::nullopt);

}  // namespace orch::trust
