// SPDX-License-Identifier: Apache-2.0
#include "trust/audit/audit_anchor.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "trust/audit/audit_line.h"

namespace orch::trust {
namespace {

constexpr size_t kSequenceDigits = 20;
constexpr size_t kHashDigits = 64;
// A number, a space, a hash, a newline.
constexpr size_t kAnchorBytes = kSequenceDigits + 1 + kHashDigits + 1;

std::string AnchorLine(const AuditAnchor& anchor) {
  return absl::StrFormat("%020d %s\n", anchor.sequence, anchor.hash);
}

std::optional<AuditAnchor> ParseAnchorLine(absl::string_view line) {
  AuditAnchor out;
  if (line.size() != kAnchorBytes || line[kSequenceDigits] != ' ' || line.back() != '\n') {
    return std::nullopt;
  }
  const absl::string_view hash = line.substr(kSequenceDigits + 1, kHashDigits);
  if (!absl::SimpleAtoi(line.substr(0, kSequenceDigits), &out.sequence) || out.sequence == 0 ||
      !std::all_of(hash.begin(), hash.end(), absl::ascii_isxdigit)) {
    return std::nullopt;
  }
  out.hash = std::string(hash);
  return out;
}

// At most `max` bytes from the beginning.
absl::StatusOr<std::string> ReadBegin(const std::string& path, size_t max) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  const absl::Cleanup closer = [fd] { close(fd); };
  std::string out(max, '\0');
  size_t size = 0;
  while (size < max) {
    const ssize_t n = read(fd, out.data() + size, max - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", path));
    if (n == 0) break;
    size += n;
  }
  out.resize(size);
  return out;
}

}  // namespace

std::string AnchorPath(const std::string& log_path) { return absl::StrCat(log_path, ".last"); }

absl::StatusOr<std::optional<AuditAnchor>> ReadAnchor(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadBegin(path, kAnchorBytes + 1);
  if (absl::IsNotFound(text.status())) return std::optional<AuditAnchor>();
  if (!text.ok()) return text.status();
  // A crash between its making and its first line.
  if (text->empty()) return std::optional<AuditAnchor>();
  std::optional<AuditAnchor> anchor = ParseAnchorLine(*text);
  if (!anchor.has_value()) {
    return absl::DataLossError(absl::StrCat(path,
                                            ": it should name the last record that was written, "
                                            "and does not; see `orchctl audit "
                                            "verify`, and remove it once you know why"));
  }
  return anchor;
}

absl::StatusOr<AuditAnchor> AnchorFrom(const std::string& path) {
  ORCH_ASSIGN_OR_RETURN(const std::string text, ReadBegin(path, kAuditLineMax + 1));
  if (std::optional<AuditAnchor> anchor = ParseAnchorLine(text)) return *std::move(anchor);
  const absl::StatusOr<AuditLink> link = ReadAuditLink(text.substr(0, text.find('\n')));
  if (!link.ok() || link->sequence <= 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(path,
                     ": neither the `.last` of an audit log nor a log "
                     "that continues another one"));
  }
  return AuditAnchor{link->sequence - 1, link->previous_hash};
}

absl::StatusOr<std::unique_ptr<AnchorFile>> AnchorFile::Open(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  return std::unique_ptr<AnchorFile>(new AnchorFile(fd));
}

AnchorFile::~AnchorFile() { close(fd_); }

void AnchorFile::Write(const AuditAnchor& anchor) {
  const std::string line = AnchorLine(anchor);
  ssize_t written = 0;
  do {
    written = pwrite(fd_, line.data(), line.size(), 0);
  } while (written < 0 && errno == EINTR);
}

}  // namespace orch::trust
