// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"

// Files that Puppet, a program or a user writes, and that this node agent only reads. Whatever was
// put in their place can neither hold up the reader nor take its memory: only a regular file is
// read, no symbolic link is followed at the path's end, a FIFO or device is not waited for, and
// every read has a bound in bytes. Calls block as long as the file system does. Thread-safe.

namespace orch::nodeagent {

// An open file.
class PlainFile {
 public:
  // NotFound, PermissionDenied; InvalidArgument if it is anything but a regular file.
  static absl::StatusOr<PlainFile> Open(const std::string& path);
  PlainFile(PlainFile&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), size_(other.size_), path_(std::move(other.path_)) {}
  PlainFile& operator=(PlainFile&&) = delete;
  ~PlainFile();

  // When it was opened.
  uint64_t size() const { return size_; }
  // At most `bytes_max` bytes from `offset`; fewer only at the file's end.
  absl::StatusOr<std::string> Read(uint64_t offset, size_t bytes_max) const;

 private:
  PlainFile(int fd, uint64_t size, std::string path)
      : fd_(fd), size_(size), path_(std::move(path)) {}

  int fd_;
  uint64_t size_;
  std::string path_;
};

// The whole of it. ResourceExhausted: it is larger than `bytes_max`.
absl::StatusOr<std::string> ReadPlainFile(const std::string& path, size_t bytes_max);

// Reads lines one after the other, at most `bytes_max` of the file.
class PlainLines {
 public:
  // A line of more than `line_max` bytes is left out.
  PlainLines(PlainFile file, size_t line_max, uint64_t bytes_max)
      : file_(std::move(file)), line_max_(line_max), bytes_max_(bytes_max) {}
  // False at the end, or when a read failed. `*line` is without its newline.
  bool Next(std::string* line);
  // Lines that were left out.
  uint64_t left_out() const { return left_out_; }

 private:
  bool Fill();

  const PlainFile file_;
  const size_t line_max_;
  const uint64_t bytes_max_;
  uint64_t offset_ = 0;
  std::string chunk_;
  size_t at_ = 0;
  uint64_t left_out_ = 0;
};

}  // namespace orch::nodeagent
