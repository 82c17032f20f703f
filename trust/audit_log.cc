// SPDX-License-Identifier: Apache-2.0
#include "trust/audit_log.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/status.h"
#include "trust/audit_file.h"
#include "trust/audit_line.h"

namespace orch::trust {
namespace {

// So much of the end is checked on opening: all that a crash can have damaged, not the whole file.
constexpr uint64_t kTailBytes = 4 << 20;

// Where a search for a sequence number stops halving.
constexpr uint64_t kSearchBytes = 64 << 10;

constexpr size_t kNowhere = std::string::npos;

class FileAuditLog : public AuditLog {
 public:
  FileAuditLog(std::unique_ptr<AuditFile> file, AuditChain chain)
      : file_(std::move(file)), sequence_(chain.sequence()), hash_(chain.hash()) {}

  absl::Status Append(std::vector<orch::v1::AuditRecord>* records) override;
  absl::StatusOr<std::vector<orch::v1::AuditRecord>> List(uint64_t before_sequence,
                                                          int limit) const override;

 private:
  absl::StatusOr<uint64_t> EndBefore(uint64_t before_sequence) const;

  const std::unique_ptr<AuditFile> file_;
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

}  // namespace

absl::StatusOr<std::unique_ptr<AuditLog>> AuditLog::Open(const std::string& path) {
  ORCH_ASSIGN_OR_RETURN(std::unique_ptr<AuditFile> file, AuditFile::Open(path));
  uint64_t end = 0;
  absl::StatusOr<AuditChain> chain = CheckTail(*file, &end);
  if (!chain.ok()) {
    return base::Annotate(chain.status(), absl::StrCat("audit log ", path,
                                                       " (see `orchctl audit verify`; once you "
                                                       "know why, move it away)"));
  }
  const uint64_t torn = file->size() - end;
  if (torn > 0) ORCH_RETURN_IF_ERROR(file->MoveTailAside(end));
  auto log = std::make_unique<FileAuditLog>(std::move(file), *std::move(chain));
  if (torn > 0) {
    std::vector<orch::v1::AuditRecord> records(1);
    records[0].set_kind("repaired");
    *records[0].mutable_time() = google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
        absl::ToUnixNanos(base::SystemClock().Read().wall));
    records[0].set_reason(absl::StrCat("a torn last line of ", torn, " bytes was moved to ", path,
                                       ".torn: its record was never relied on"));
    ORCH_RETURN_IF_ERROR(log->Append(&records));
  }
  return log;
}

}  // namespace orch::trust
