// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace orch::trust {

// The most bytes that are read of one file.
inline constexpr size_t kTrustFileMax = 8 << 20;

// What stat(2) said of a file when it was read: a symbolic link counts as what it leads to, so a
// swapped link is seen too.
struct FileStamp {
  std::string path;
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  absl::Time modified, changed;
  bool recent = false;  // it was changed so shortly before the reading that a further change might
                        // not show in the times

  friend bool operator==(const FileStamp& a, const FileStamp& b) {
    return a.path == b.path && a.device == b.device && a.inode == b.inode && a.size == b.size &&
           a.modified == b.modified && a.changed == b.changed;
  }
};

// Reads the files of one load and remembers what to compare later. Calls block.
class TrustFiles {
 public:
  enum class Secrecy { kPublic, kPrivate };

  // The content of a file, which must be regular and not empty and, with kPrivate, neither readable
  // nor writable by others. The error is `<what> <path>: <why>`.
  absl::StatusOr<std::string> Read(absl::string_view what, const std::string& path,
                                   Secrecy secrecy = Secrecy::kPublic);

  const std::vector<FileStamp>& stamps() const { return stamps_; }
  // SHA-256 over all that was read.
  std::string digest() const;

 private:
  std::vector<FileStamp> stamps_;
  std::string digests_;
};

// Whether one of the files has changed since it was read, or might have.
bool MayHaveChanged(const std::vector<FileStamp>& stamps);

}  // namespace orch::trust
