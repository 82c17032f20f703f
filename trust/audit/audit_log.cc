// SPDX-License-Identifier: Apache-2.0
#include "trust/audit/audit_log.h"

#include <google/protobuf/util/time_util.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/status.h"
#include "trust/audit/audit_anchor.h"
#include "trust/audit/audit_file.h"
#include "trust/audit/audit_line.h"

namespace orch::trust {
namespace {

// So much of the end is checked on opening: all that a crash can have damaged, not the whole file.
constexpr uint64_t kTailBytes = 4 << 20;

// Where a search for a sequence number stops halving.
constexpr uint64_t kSearchBytes = 64 << 10;

constexpr size_t kNowhere = std::string::npos;

class FileAuditLog : public AuditLog {
 public:
  FileAuditLog(std::unique_ptr<AuditFile> file, std::unique_ptr<AnchorFile> anchor,
               AuditAnchor last)
      : file_(std::move(file)),
        anchor_(std::move(anchor)),
        sequence_(last.sequence),
        hash_(std::move(last.hash)) {}

  absl::Status Append(std::vector<orch::v1::AuditRecord>* records) override;
  absl::StatusOr<std::vector<orch::v1::AuditRecord>> List(uint64_t before_sequence,
                                                          int limit) const override;

 private:
  absl::StatusOr<uint64_t> EndBefore(uint64_t before_sequence) const;

  const std::unique_ptr<AuditFile> file_;
  const std::unique_ptr<AnchorFile> anchor_;
  uint64_t sequence_;  // of the last record
  std::string hash_;   // of the last record
};

absl::Status FileAuditLog::Append(std::vector<orch::v1::AuditRecord>* records) {
  if (records->empty()) return absl::OkStatus();
  std::vector<orch::v1::AuditRecord> linked = *records;
  uint64_t sequence = sequence_;
  std::string hash = hash_;
  std::string block;
  for (orch::v1::AuditRecord& record : linked) {
    record.set_sequence(++sequence);
    record.set_previous_hash(hash);
    const std::string line = AuditLine(&record);
    if (line.size() > kAuditLineMax) {
      return absl::ResourceExhaustedError(
          absl::StrCat("an audit record of ", line.size(), " bytes; the limit is ", kAuditLineMax));
    }
    absl::StrAppend(&block, line, "\n");
    hash = record.hash();
  }
  ORCH_RETURN_IF_ERROR(file_->Append(block));
  sequence_ = sequence;
  hash_ = std::move(hash);
  anchor_->Write({sequence_, hash_});
  *records = std::move(linked);
  return absl::OkStatus();
}

// An offset between lines so that all records up to `before_sequence` - 1 are before it, and few
// others.
absl::StatusOr<uint64_t> FileAuditLog::EndBefore(uint64_t before_sequence) const {
  uint64_t low = 0;
  uint64_t high = file_->size();
  while (before_sequence != 0 && high - low > kSearchBytes) {
    const uint64_t middle = low + (high - low) / 2;
    ORCH_ASSIGN_OR_RETURN(
        const std::string block,
        file_->ReadAt(middle, std::min<uint64_t>(high - middle, kSearchBytes / 2)));
    const size_t newline = block.find('\n');
    const size_t end = newline == kNowhere ? kNowhere : block.find('\n', newline + 1);
    if (end == kNowhere) break;  // lines so long that there are few
    ORCH_ASSIGN_OR_RETURN(const AuditLink link, ReadAuditLink(absl::string_view(block).substr(
                                                    newline + 1, end - newline - 1)));
    (link.sequence >= before_sequence ? high : low) = middle + newline + 1;
  }
  return high;
}

absl::StatusOr<std::vector<orch::v1::AuditRecord>> FileAuditLog::List(uint64_t before_sequence,
                                                                      int limit) const {
  std::vector<orch::v1::AuditRecord> out;
  ORCH_ASSIGN_OR_RETURN(const uint64_t end, EndBefore(before_sequence));
  BackwardLines lines(file_.get(), end);
  std::string line;
  while (out.size() < static_cast<size_t>(std::max(limit, 0))) {
    ORCH_ASSIGN_OR_RETURN(const bool more, lines.Next(&line));
    if (!more) break;
    const absl::StatusOr<AuditLink> link = ReadAuditLink(line);
    if (!link.ok() || link->hash != link->computed_hash) {
      return absl::DataLossError(
          "the audit log was changed: `orchctl audit verify` names the record");
    }
    if (before_sequence != 0 && link->sequence >= before_sequence) continue;
    ORCH_ASSIGN_OR_RETURN(orch::v1::AuditRecord record, ParseAuditLine(line));
    out.push_back(std::move(record));
  }
  return out;
}

// Checks the records at the end, and says where the last whole line ends.
absl::StatusOr<AuditChain> CheckTail(const AuditFile& file, uint64_t* end) {
  const uint64_t size = file.size();
  const uint64_t begin = size > kTailBytes ? size - kTailBytes : 0;
  ORCH_ASSIGN_OR_RETURN(const std::string tail, file.ReadAt(begin, size - begin));
  AuditChain chain(/*from_first=*/begin == 0);
  const size_t last = tail.rfind('\n');
  *end = last == kNowhere ? begin : begin + last + 1;
  absl::string_view whole(tail.data(), last == kNowhere ? 0 : last);
  if (begin > 0) {
    const size_t first = whole.find('\n');
    if (first == absl::string_view::npos) {
      return absl::DataLossError("its end is not made of records");
    }
    whole.remove_prefix(first + 1);
  } else if (last == kNowhere) {
    return chain;
  }
  for (absl::string_view line : absl::StrSplit(whole, '\n')) {
    if (const absl::Status status = chain.Follow(line); !status.ok()) {
      return absl::DataLossError(status.message());
    }
  }
  return chain;
}

// Whether the record that was written last, as far as is known, is there. `end`: of the last line.
absl::Status CheckWritten(const AuditFile& file, uint64_t end, const AuditChain& chain,
                          const AuditAnchor& written) {
  constexpr char kGoOn[] =
      "; put the right file back, or move this one away "
      "and start again: a new file then continues "
      "behind that record, and says so";
  if (chain.sequence() < written.sequence) {
    return absl::FailedPreconditionError(absl::StrCat(
        chain.sequence() == 0 ? "it is empty"
                              : absl::StrCat("it ends with record ", chain.sequence()),
        ", and record ", written.sequence, " was written: its end was cut off", kGoOn));
  }
  BackwardLines lines(&file, end);
  std::string line;
  for (;;) {
    ORCH_ASSIGN_OR_RETURN(const bool more, lines.Next(&line));
    // It begins behind that record: a later file of a rotated log.
    if (!more) return absl::OkStatus();
    ORCH_ASSIGN_OR_RETURN(const AuditLink link, ReadAuditLink(line));
    if (link.sequence > written.sequence) continue;
    if (link.sequence < written.sequence || link.hash == written.hash) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(
        "record ", written.sequence, " is not the one that was written: it was replaced", kGoOn));
  }
}

absl::Status AppendNote(AuditLog* log, absl::string_view kind, std::string reason) {
  std::vector<orch::v1::AuditRecord> records(1);
  records[0].set_kind(std::string(kind));
  *records[0].mutable_time() = google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
      absl::ToUnixNanos(base::SystemClock().Read().wall));
  records[0].set_reason(std::move(reason));
  return log->Append(&records);
}

}  // namespace

absl::StatusOr<std::unique_ptr<AuditLog>> AuditLog::Open(const std::string& path) {
  ORCH_ASSIGN_OR_RETURN(const std::optional<AuditAnchor> written, ReadAnchor(AnchorPath(path)));
  // Moved away, by somebody who rotates it: whoever deletes it leaves the gap in the chain.
  const bool moved = written.has_value() && access(path.c_str(), F_OK) != 0 && errno == ENOENT;
  ORCH_ASSIGN_OR_RETURN(std::unique_ptr<AuditFile> file, AuditFile::Open(path));
  uint64_t end = 0;
  absl::StatusOr<AuditChain> chain = CheckTail(*file, &end);
  if (!chain.ok()) {
    return base::Annotate(chain.status(), absl::StrCat("audit log ", path,
                                                       " (see `orchctl audit verify`; once you "
                                                       "know why, move it away)"));
  }
  if (written.has_value() && !moved) {
    ORCH_RETURN_IF_ERROR(base::Annotate(CheckWritten(*file, end, *chain, *written),
                                        absl::StrCat("audit log ", path)));
  }
  const uint64_t torn = file->size() - end;
  if (torn > 0) ORCH_RETURN_IF_ERROR(file->MoveTailAside(end));
  ORCH_ASSIGN_OR_RETURN(std::unique_ptr<AnchorFile> anchor, AnchorFile::Open(AnchorPath(path)));
  auto log = std::make_unique<FileAuditLog>(
      std::move(file), std::move(anchor),
      moved ? *written : AuditAnchor{chain->sequence(), chain->hash()});
  if (moved) {
    ORCH_RETURN_IF_ERROR(AppendNote(
        log.get(), kContinued,
        absl::StrCat("the file before was moved away; its last record is ", written->sequence)));
  }
  if (torn > 0) {
    ORCH_RETURN_IF_ERROR(
        AppendNote(log.get(), "repaired",
                   absl::StrCat("a torn last line of ", torn, " bytes was moved to ", path,
                                ".torn: its record was never relied on")));
  }
  return log;
}

}  // namespace orch::trust
