// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace orch::trust {

// A record that was written, kept beside the audit log: a log that ends before it was cut.
struct AuditAnchor {
  uint64_t sequence = 0;
  std::string hash;
};

// `audit.jsonl.last`.
std::string AnchorPath(const std::string& log_path);
// Nullopt: there is none. DataLoss: it can't be read as one.
absl::StatusOr<std::optional<AuditAnchor>> ReadAnchor(const std::string& path);
// The record that a file says was written: of an anchor its own, of an audit log that continues
// another one the last of that one.
absl::StatusOr<AuditAnchor> AnchorFrom(const std::string& path);

// Keeps one anchor in a file (0600), overwritten in place: one line of always the same length.
// Written behind the record itself, without a sync of its own: after a crash it may be behind,
// never ahead. Blocking. Not thread-safe.
class AnchorFile {
 public:
  static absl::StatusOr<std::unique_ptr<AnchorFile>> Open(const std::string& path);
  ~AnchorFile();
  AnchorFile(const AnchorFile&) = delete;
  AnchorFile& operator=(const AnchorFile&) = delete;

  // A failure leaves it behind, which is less to compare with; the next write tries again.
  void Write(const AuditAnchor& anchor);

 private:
  explicit AnchorFile(int fd) : fd_(fd) {}

  const int fd_;
};

}  // namespace orch::trust
