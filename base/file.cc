// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/status.h"

namespace orch::base {

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  const absl::Cleanup closer = [fd] { close(fd); };
  struct stat info;
  if (fstat(fd, &info) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("stat ", path));
  if (!S_ISREG(info.st_mode))
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
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
