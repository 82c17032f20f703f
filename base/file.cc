// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/status.h"

namespace orch::base {

namespace {

absl::Status Writable(const std::string& path, const struct stat& info) {
  return absl::PermissionDeniedError(absl::StrFormat(
      "%s: everybody may write it (mode %04o); chmod o-w it, and look at what it says", path,
      info.st_mode & 07777));
}

// Whether everybody may replace files in it.
absl::Status CheckDirectory(const std::string& path) {
  struct stat info;
  struct statvfs mount;
  if (stat(path.c_str(), &info) != 0 || statvfs(path.c_str(), &mount) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("stat ", path));
  }
  if ((info.st_mode & S_IWOTH) == 0 || (info.st_mode & S_ISVTX) != 0) return absl::OkStatus();
  return (mount.f_flag & ST_RDONLY) != 0 ? absl::OkStatus() : Writable(path, info);
}

absl::Status CheckRights(const std::string& path, const struct stat& info) {
  if ((info.st_mode & S_IWOTH) != 0) return Writable(path, info);
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path named = fs::absolute(path, error).parent_path();
  const fs::path real = fs::canonical(path, error).parent_path();
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("resolve ", path));
  ORCH_RETURN_IF_ERROR(CheckDirectory(named.string()));
  return named == real ? absl::OkStatus() : CheckDirectory(real.string());
}

absl::StatusOr<std::string> Read(const std::string& path, size_t max, bool rights) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  const absl::Cleanup closer = [fd] { close(fd); };
  struct stat info;
  if (fstat(fd, &info) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("stat ", path));
  if (!S_ISREG(info.st_mode))
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
  if (rights) ORCH_RETURN_IF_ERROR(CheckRights(path, info));
  std::string out;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", path));
    if (n == 0) return out;
    if (out.size() + n > max) {
      return absl::ResourceExhaustedError(absl::StrCat(path, ": larger than ", max, " bytes"));
    }
    out.append(buffer, n);
  }
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max) {
  return Read(path, max, /*rights=*/false);
}

absl::StatusOr<std::string> ReadRightsFile(const std::string& path, size_t max) {
  return Read(path, max, /*rights=*/true);
}

absl::Status WriteFileAtomically(const std::string& path, absl::string_view content, int mode) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string temporary = absl::StrCat(path, ".", Hex(RandomBytes16()).substr(0, 12), ".tmp");
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("create ", temporary));
  absl::Status status;
  size_t done = 0;
  while (status.ok() && done < content.size()) {
    const ssize_t n = write(fd, content.data() + done, content.size() - done);
    if (n > 0) done += n;
    if (n < 0 && errno != EINTR)
      status = absl::ErrnoToStatus(errno, absl::StrCat("write ", temporary));
  }
  if (status.ok() && (fchmod(fd, mode) != 0 || fsync(fd) != 0)) {
    status = absl::ErrnoToStatus(errno, absl::StrCat("sync ", temporary));
  }
  close(fd);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    status = absl::ErrnoToStatus(errno, absl::StrCat("rename ", temporary, " to ", path));
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  const int dir = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", directory));
  const int synced = fsync(dir);
  close(dir);
  return synced == 0 ? absl::OkStatus()
                     : absl::ErrnoToStatus(errno, absl::StrCat("sync ", directory));
}

}  // namespace orch::base
