// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/text/plain_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace orch::nodeagent {
namespace {

constexpr size_t kLinesChunk = 64 << 10;

}  // namespace

absl::StatusOr<PlainFile> PlainFile::Open(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0 && errno == ELOOP) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": a symbolic link, no regular file"));
  }
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(fd);
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
  }
  return PlainFile(fd, info.st_size, path);
}

PlainFile::~PlainFile() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<std::string> PlainFile::Read(uint64_t offset, size_t bytes_max) const {
  std::string out;
  while (out.size() < bytes_max) {
    // A little at a time: a size that is claimed takes no memory, only bytes that are there do.
    const size_t before = out.size();
    out.resize(std::min<size_t>(bytes_max, before + (1 << 20)));
    const ssize_t got =
        pread(fd_, out.data() + before, out.size() - before, static_cast<off_t>(offset + before));
    if (got < 0 && errno == EINTR) {
      out.resize(before);
      continue;
    }
    if (got < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", path_));
    out.resize(before + got);
    if (got == 0) break;
  }
  return out;
}

absl::StatusOr<std::string> ReadPlainFile(const std::string& path, size_t bytes_max) {
  ORCH_ASSIGN_OR_RETURN(const PlainFile file, PlainFile::Open(path));
  ORCH_ASSIGN_OR_RETURN(std::string text, file.Read(0, bytes_max + 1));
  if (text.size() <= bytes_max) return text;
  return absl::ResourceExhaustedError(absl::StrCat(path, ": larger than ", bytes_max, " bytes"));
}

bool PlainLines::Fill() {
  const uint64_t left = bytes_max_ - std::min(offset_, bytes_max_);
  absl::StatusOr<std::string> read =
      file_.Read(offset_, static_cast<size_t>(std::min<uint64_t>(left, kLinesChunk)));
  if (!read.ok() || read->empty()) return false;
  offset_ += read->size();
  chunk_ = *std::move(read);
  at_ = 0;
  return true;
}

bool PlainLines::Next(std::string* line) {
  line->clear();
  bool skip = false;
  bool any = false;
  while (at_ < chunk_.size() || Fill()) {
    any = true;
    const size_t end = std::min(chunk_.find('\n', at_), chunk_.size());
    skip |= line->size() + (end - at_) > line_max_;
    if (!skip) line->append(chunk_, at_, end - at_);
    at_ = end + 1;
    if (end == chunk_.size()) continue;  // it goes on in the next chunk
    if (!skip) return true;
    ++left_out_;
    line->clear();
    skip = any = false;
  }
  if (!any) return false;
  if (!skip) return true;
  ++left_out_;
  line->clear();
  return false;
}

}  // namespace orch::nodeagent
