// SPDX-License-Identifier: Apache-2.0
#include "trust/trust_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/sha256.h"
#include "base/status.h"

namespace orch::trust {
namespace {

// File systems keep times in ticks of up to a second: a second change within the same tick, of the
// same size, would not show.
constexpr absl::Duration kTick = absl::Seconds(2);

FileStamp StampOf(const std::string& path, const struct stat& info) {
  FileStamp out;
  out.path = path;
  out.device = info.st_dev;
  out.inode = info.st_ino;
  out.size = info.st_size;
  out.modified = absl::TimeFromTimespec(info.st_mtim);
  out.changed = absl::TimeFromTimespec(info.st_ctim);
  out.recent = absl::Now() - std::max(out.modified, out.changed) < kTick;
  return out;
}

absl::Status CheckFile(const struct stat& info, TrustFiles::Secrecy secrecy) {
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError("not a regular file");
  if (info.st_size == 0) return absl::InvalidArgumentError("it is empty");
  if (secrecy == TrustFiles::Secrecy::kPrivate && (info.st_mode & (S_IROTH | S_IWOTH)) != 0) {
    return absl::PermissionDeniedError(
        absl::StrFormat("others may read or write it (mode %04o); chmod o= it and make a new key "
                        "if somebody could have read this one",
                        info.st_mode & 07777));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadAll(int fd) {
  std::string out;
  char buffer[1 << 14];
  for (;;) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, "read");
    if (n == 0) return out;
    if (out.size() + n > kTrustFileMax) {
      return absl::ResourceExhaustedError(absl::StrCat("larger than ", kTrustFileMax, " bytes"));
    }
    out.append(buffer, n);
  }
}

}  // namespace

absl::StatusOr<std::string> TrustFiles::Read(absl::string_view what, const std::string& path,
                                             Secrecy secrecy) {
  const std::string name = absl::StrCat(what, " ", path);
  if (path.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("trust.", what, ": no file is configured"));
  }
  // Not blocking, or a FIFO of that name would hold us up.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, name);
  const absl::Cleanup closer = [fd] { close(fd); };
  struct stat info = {};
  if (fstat(fd, &info) != 0) return absl::ErrnoToStatus(errno, name);
  if (const absl::Status status = CheckFile(info, secrecy); !status.ok()) {
    return base::Annotate(status, name);
  }
  absl::StatusOr<std::string> content = ReadAll(fd);
  if (!content.ok()) return base::Annotate(content.status(), name);
  stamps_.push_back(StampOf(path, info));
  digests_ += base::Sha256(*content);
  return content;
}

std::string TrustFiles::digest() const { return base::Sha256(digests_); }

bool MayHaveChanged(const std::vector<FileStamp>& stamps) {
  return std::any_of(stamps.begin(), stamps.end(), [](const FileStamp& stamp) {
    struct stat info = {};
    return stamp.recent || stat(stamp.path.c_str(), &info) != 0 ||
           !(StampOf(stamp.path, info) == stamp);
  });
}

}  // namespace orch::trust
