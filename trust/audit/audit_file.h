// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace orch::trust {

// The file of the audit log. It only grows, by appends that are whole and durable when they return,
// and it has one writer, which holds flock(2) on it. Calls block. Not thread-safe, except that
// ReadAt and size may be called from any thread.
class AuditFile {
 public:
  // Opens the file or creates it with mode 0600. FailedPrecondition: another process has it open.
  static absl::StatusOr<std::unique_ptr<AuditFile>> Open(const std::string& path);
  ~AuditFile();
  AuditFile(const AuditFile&) = delete;
  AuditFile& operator=(const AuditFile&) = delete;

  // How many bytes are durable.
  uint64_t size() const { return size_; }
  // Reads `size` bytes from `offset`; fewer where the file ends.
  absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size) const;
  // Writes `bytes` at the end and syncs them. After an error the file is cut back to what it was,
  // as far as the disk allows, and every later Append fails, because nobody knows what a failed
  // sync left behind. It is also an error if somebody has moved the file away, replaced or changed
  // it.
  absl::Status Append(absl::string_view bytes);
  // Moves the bytes behind `offset` to the end of `<path>.torn`.
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

// Reads the lines of a file backwards, beginning at `end`, which is the offset behind a newline.
class BackwardLines {
 public:
  BackwardLines(const AuditFile* file, uint64_t end) : file_(file), begin_(end) {}
  // Takes the line before the last one taken, without its newline. False: there is none. DataLoss:
  // it is longer than kAuditLineMax. Other errors come from the disk.
  absl::StatusOr<bool> Next(std::string* line);

 private:
  const AuditFile* const file_;
  uint64_t begin_;      // offset of buffer_
  std::string buffer_;  // bytes that were read and not given out yet
};

}  // namespace orch::trust
