// SPDX-License-Identifier: Apache-2.0
#include "trust/audit/audit_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "trust/audit/audit_line.h"

namespace orch::trust {
namespace {

constexpr size_t kBackwardsBlock = 64 << 10;

absl::Status SyncDirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", directory));
  const absl::Cleanup closer = [fd] { close(fd); };
  if (fsync(fd) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("sync ", directory));
  return absl::OkStatus();
}

absl::Status WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return absl::ErrnoToStatus(n < 0 ? errno : EIO, "write");
    bytes.remove_prefix(n);
  }
  if (fdatasync(fd) != 0) return absl::ErrnoToStatus(errno, "sync");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<AuditFile>> AuditFile::Open(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0600);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open audit log ", path));
  absl::Cleanup closer = [fd] { close(fd); };
  struct stat info = {};
  if (fstat(fd, &info) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("stat ", path));
  if (!S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat("audit log ", path, ": not a regular file"));
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return absl::ErrnoToStatus(errno, absl::StrCat("lock ", path));
    return absl::FailedPreconditionError(
        absl::StrCat("audit log ", path, ": another process writes it"));
  }
  // Only under the lock is it the final size.
  if (fstat(fd, &info) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("stat ", path));
  ORCH_RETURN_IF_ERROR(base::Annotate(SyncDirectoryOf(path), absl::StrCat("audit log ", path)));
  std::move(closer).Cancel();
  return std::unique_ptr<AuditFile>(new AuditFile(path, fd, info.st_size));
}

AuditFile::~AuditFile() { close(fd_); }

absl::StatusOr<std::string> AuditFile::ReadAt(uint64_t offset, size_t size) const {
  std::string out(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t n = pread(fd_, out.data() + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read audit log ", path_));
    if (n == 0) break;
    done += n;
  }
  out.resize(done);
  return out;
}

absl::Status AuditFile::CheckUnchanged() const {
  struct stat ours = {};
  struct stat named = {};
  if (fstat(fd_, &ours) != 0) return absl::ErrnoToStatus(errno, "stat");
  if (stat(path_.c_str(), &named) != 0 || named.st_dev != ours.st_dev ||
      named.st_ino != ours.st_ino) {
    return absl::DataLossError("it was moved away or replaced while it was written");
  }
  if (static_cast<uint64_t>(ours.st_size) != size_) {
    return absl::DataLossError("somebody else wrote or truncated it");
  }
  return absl::OkStatus();
}

absl::Status AuditFile::Write(absl::string_view bytes) {
  ORCH_RETURN_IF_ERROR(CheckUnchanged());
  const absl::Status written = WriteAll(fd_, bytes);
  if (written.ok()) return written;
  // A part may be on the disk. Where this fails too, the next Open finds a torn line.
  if (ftruncate(fd_, static_cast<off_t>(size_.load())) == 0) fdatasync(fd_);
  return written;
}

absl::Status AuditFile::Append(absl::string_view bytes) {
  if (!broken_.ok()) return broken_;
  if (const absl::Status written = Write(bytes); !written.ok()) {
    broken_ = base::Annotate(written, absl::StrCat("audit log ", path_));
    return broken_;
  }
  size_ += bytes.size();
  return absl::OkStatus();
}

absl::Status AuditFile::MoveTailAside(uint64_t offset) {
  ORCH_ASSIGN_OR_RETURN(const std::string tail, ReadAt(offset, size_ - offset));
  const std::string torn = absl::StrCat(path_, ".torn");
  const int fd = open(torn.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", torn));
  const absl::Cleanup closer = [fd] { close(fd); };
  ORCH_RETURN_IF_ERROR(base::Annotate(WriteAll(fd, absl::StrCat(tail, "\n")), torn));
  ORCH_RETURN_IF_ERROR(SyncDirectoryOf(torn));
  if (ftruncate(fd_, static_cast<off_t>(offset)) != 0 || fsync(fd_) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("truncate audit log ", path_));
  }
  size_ = offset;
  return absl::OkStatus();
}

absl::StatusOr<bool> BackwardLines::Next(std::string* line) {
  for (;;) {
    // The newline at the very end belongs to the line that we look for.
    const size_t newline =
        buffer_.size() < 2 ? std::string::npos : buffer_.rfind('\n', buffer_.size() - 2);
    if (newline != std::string::npos || (begin_ == 0 && !buffer_.empty())) {
      const size_t start = newline == std::string::npos ? 0 : newline + 1;
      line->assign(buffer_, start, buffer_.size() - start - 1);
      buffer_.resize(start);
      return true;
    }
    if (begin_ == 0) return false;
    if (buffer_.size() > kAuditLineMax) {
      return absl::DataLossError("the audit log has a line that is no record");
    }
    const size_t size = std::min<uint64_t>(kBackwardsBlock, begin_);
    ORCH_ASSIGN_OR_RETURN(std::string block, file_->ReadAt(begin_ - size, size));
    if (block.size() != size) return absl::DataLossError("the audit log became shorter");
    begin_ -= size;
    buffer_.insert(0, block);
  }
}

}  // namespace orch::trust
