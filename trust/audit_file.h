// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace orch::trust {

// A file that only grows, by whole appends that are durable when they return, and that has one
// writer: it holds flock(2). Blocking. Not thread-safe, except that ReadAt and size may be called
// from any thread.
class AuditFile {
 public:
  // Opens or creates (0600). FailedPrecondition: another process has it.
  static absl::StatusOr<std::unique_ptr<AuditFile>> Open(const std::string& path);
  ~AuditFile();
  AuditFile(const AuditFile&) = delete;
  AuditFile& operator=(const AuditFile&) = delete;

  // Bytes that are durable.
  uint64_t size() const { return size_; }
  // `size` bytes from `offset`, fewer at the end.
  absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size) const;
  // Writes and syncs. On an error the file is as before, as far as the disk allows, and every later
  // Append fails: what a failed sync left behind is unknown. Also an error: somebody moved the file
  // away, replaced or changed it.
  absl::Status Append(absl::string_view bytes);
  // Moves what is behind `offset` to the end of `<path>.torn`.
  absl::Status MoveTailAside(uint64_t offset);

 private:
  AuditFile(std::string path, int fd, uint64_t size)
      : path_(std::move(path)), fd_(fd), size_(size) {}
  absl::Status CheckUnchanged() const;
  absl::Status Write(absl::string_view bytes);

  const std::string path_;
  const int fd_;
  std::atomic<uint64_t> size_;
  absl::Status broken_;
};

// Reads the lines of a file backwards, from `end`, the offset behind a newline.
class BackwardLines {
 public:
  BackwardLines(const AuditFile* file, uint64_t end) : file_(file), begin_(end) {}
  // The line before, without its newline. False: there is none. Errors: the disk's; DataLoss for a
  // line over kAuditLineMax.
  absl::StatusOr<bool> Next(std::string* line);

 private:
  const AuditFile* const file_;
  uint64_t begin_;      // offset of buffer_
  std::string buffer_;  // read, and not yet given out
};

}  // namespace orch::trust
