// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace orch::trust {

// Bytes read of one file.
inline constexpr size_t kTrustFileMax = 8 << 20;

// What stat(2) said of a file when it was read: a symbolic link counts as what it leads to, so a
// swapped link is seen too.
struct FileStamp {
  std::string path;
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  absl::Time modified, changed;
  bool recent = false;  // changed so shortly before that a further change might not show

  friend bool operator==(const FileStamp& a, const FileStamp& b) {
    return a.path == b.path && a.device == b.device && a.inode == b.inode && a.size == b.size &&
           a.modified == b.modified && a.changed == b.changed;
  }
};

// Reads the files of one load, and remembers what to compare later. Blocking.
class TrustFiles {
 public:
  enum class Secrecy { kPublic, kPrivate };

  // The content of a regular file that is not empty and, if private, not for others to read or
  // write. The error is `<what> <path>: <why>`.
  absl::StatusOr<std::string> Read(absl::string_view what, const std::string& path,
                                   Secrecy secrecy = Secrecy::kPublic);

  const std::vector<FileStamp>& stamps() const { return stamps_; }
  // SHA-256 over all that was read.
  std::string digest() const;

 private:
  std::vector<FileStamp> stamps_;
  std::string digests_;
};

// Whether a file is not what it was, or may not be.
bool MayHaveChanged(const std::vector<FileStamp>& stamps);

}  // namespace orch::trust
