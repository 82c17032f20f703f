// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/text/replace_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"

namespace orch::nodeagent {

absl::Status ReplaceFile(const std::string& path, const std::string& content) {
  const std::string temporary = absl::StrCat(path, ".new");
  unlink(temporary.c_str());
  const int file =
      open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("write ", temporary));
  fchmod(file, 0644);  // whatever the umask
  const ssize_t written = write(file, content.data(), content.size());
  const int error = errno;
  close(file);
  if (written != static_cast<ssize_t>(content.size())) {
    unlink(temporary.c_str());
    return absl::ErrnoToStatus(written < 0 ? error : ENOSPC, absl::StrCat("write ", temporary));
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    const absl::Status status =
        absl::ErrnoToStatus(errno, absl::StrCat("rename ", temporary, " to ", path));
    unlink(temporary.c_str());
    return status;
  }
  return absl::OkStatus();
}

}  // namespace orch::nodeagent
