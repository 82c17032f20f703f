// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "trust/audit/audit_line.h"
#include "trust/audit/audit_log.h"

namespace orch::trust {
namespace {

constexpr size_t kReadBlock = 256 << 10;

// Reads a file line by line, whatever its size.
class Lines {
 public:
  explicit Lines(int fd) : fd_(fd) {}

  // The next line without its newline; `*torn` if it has none, or is longer than a record can be.
  // False: there is none.
  absl::StatusOr<bool> Next(absl::string_view* line, bool* torn) {
    for (;;) {
      const size_t newline = buffer_.find('\n', searched_);
      searched_ = buffer_.size();
      *torn = newline == std::string::npos;
      if (!*torn || buffer_.size() - begin_ > kAuditLineMax || end_) {
        *line = absl::string_view(buffer_).substr(begin_, *torn ? kAuditLineMax : newline - begin_);
        begin_ = *torn ? buffer_.size() : newline + 1;
        searched_ = begin_;
        return !*torn || !line->empty();
      }
      ORCH_RETURN_IF_ERROR(ReadMore());
    }
  }

 private:
  absl::Status ReadMore() {
    searched_ -= begin_;
    buffer_.erase(0, begin_);
    begin_ = 0;
    const size_t size = buffer_.size();
    buffer_.resize(size + kReadBlock);
    ssize_t n = 0;
    do {
      n = read(fd_, buffer_.data() + size, kReadBlock);
    } while (n < 0 && errno == EINTR);
    buffer_.resize(size + (n > 0 ? n : 0));
    if (n < 0) return absl::ErrnoToStatus(errno, "read");
    end_ = n == 0;
    return absl::OkStatus();
  }

  const int fd_;
  std::string buffer_;
  size_t begin_ = 0;     // of what was not given out
  size_t searched_ = 0;  // there is no newline from begin_ to here
  bool end_ = false;
};

}  // namespace

absl::StatusOr<AuditVerdict> VerifyAuditFile(const std::string& path,
                                             std::optional<AuditAnchor> against) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open audit log ", path));
  const absl::Cleanup closer = [fd] { close(fd); };
  Lines lines(fd);
  AuditChain chain(/*from_first=*/true);
  AuditVerdict out;
  out.last_hash = chain.hash();
  std::string hash_before_last = chain.hash();
  for (;;) {
    absl::string_view line;
    bool torn = false;
    const absl::StatusOr<bool> more = lines.Next(&line, &torn);
    if (!more.ok()) return base::Annotate(more.status(), absl::StrCat("audit log ", path));
    if (!*more) break;
    const absl::Status status =
        torn ? absl::InvalidArgumentError(
                   absl::StrCat("a torn line, where record ", chain.sequence() + 1,
                                " should be: its writer was stopped, or is writing it now"))
             : chain.Follow(line);
    if (status.ok() && against && chain.sequence() == against->sequence &&
        chain.hash() != against->hash) {
      out.bad_line = out.records + 1;
      out.why = absl::StrCat("record ", chain.sequence(), " has the hash ", chain.hash(),
                             ", and the one that was written had ", against->hash);
      return out;
    }
    if (!status.ok()) {
      out.bad_line = out.records + 1;
      if (!torn && chain.before_is_bad()) {
        out.bad_line = out.records--;
        out.last_hash = std::move(hash_before_last);
      }
      out.why = std::string(status.message());
      return out;
    }
    ++out.records;
    out.first = chain.first();
    out.last = chain.sequence();
    hash_before_last = std::exchange(out.last_hash, chain.hash());
  }
  if (against && against->sequence > out.last) {
    out.bad_line = out.records + 1;
    out.why = absl::StrCat("its end is missing: record ", against->sequence, " was written");
    return out;
  }
  if (against && against->sequence < out.first) {
    return absl::FailedPreconditionError(
        absl::StrCat("audit log ", path, ": it begins with record ", out.first, ", behind record ",
                     against->sequence, " to compare with"));
  }
  out.intact = true;
  return out;
}

}  // namespace orch::trust
