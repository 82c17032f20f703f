// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/journal/journal.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/status.h"
#include "nodeagent/journal/statement.h"

namespace orch::nodeagent {
namespace {

constexpr int kSchemaVersion = 1;
constexpr int kApplicationId = 0x6f726368;  // "orch"
constexpr size_t kSequenceFileMax = 4096;
// Another agent that is about to end may hold the file so long.
constexpr int kBusyTimeout_ms = 2000;

constexpr char kSchema[] = R"sql(
  CREATE TABLE meta (
    identity TEXT NOT NULL, sequence INTEGER NOT NULL,
    newest_issue_us INTEGER NOT NULL, floor_us INTEGER NOT NULL);
  CREATE TABLE entries (
    request_id BLOB PRIMARY KEY NOT NULL, digest BLOB NOT NULL, job_id TEXT NOT NULL,
    caller TEXT NOT NULL, request BLOB NOT NULL, issue_us INTEGER NOT NULL,
    expire_us INTEGER NOT NULL, accept_us INTEGER NOT NULL, state INTEGER NOT NULL,
    outcome BLOB, end_us INTEGER);
  CREATE INDEX entries_by_state ON entries (state, end_us);
)sql";

constexpr char kColumns[] =
    "request_id, digest, job_id, caller, request, issue_us, expire_us, accept_us, state, outcome, "
    "end_us";

// Rounded up, so that a floor never ends below the instant that it stands for.
int64_t CeilMicros(absl::Time time) {
  if (time == absl::InfinitePast()) return std::numeric_limits<int64_t>::min();
  return absl::ToUnixMicros(time + absl::Nanoseconds(999));
}

absl::Time FromMicros(int64_t us) {
  return us == std::numeric_limits<int64_t>::min() ? absl::InfinitePast()
                                                   : absl::FromUnixMicros(us);
}

JournalEntry EntryOf(const Statement& row) {
  JournalEntry entry;
  entry.request.request_id = row.BytesAt(0);
  entry.request.digest = row.BytesAt(1);
  entry.request.job_id = row.BytesAt(2);
  entry.request.caller = row.BytesAt(3);
  entry.request.request = row.BytesAt(4);
  entry.request.issue_time = FromMicros(row.IntegerAt(5));
  entry.request.expire_time = FromMicros(row.IntegerAt(6));
  entry.accept_time = FromMicros(row.IntegerAt(7));
  entry.state = static_cast<JournalState>(row.IntegerAt(8));
  entry.outcome = row.BytesAt(9);
  entry.end_time = FromMicros(row.IntegerAt(10));
  return entry;
}

std::string BootId() {
  const absl::StatusOr<std::string> id = base::ReadFile("/proc/sys/kernel/random/boot_id", 256);
  return id.ok() ? std::string(absl::StripSuffix(*id, "\n")) : "";
}

}  // namespace

Journal::Journal(const JournalOptions& options)
    : options_(options), newest_issue_(absl::InfinitePast()), floor_(absl::InfinitePast()) {}

Journal::~Journal() { sqlite3_close(db_); }

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(const JournalOptions& options,
                                                       base::Now now) {
  std::unique_ptr<Journal> journal(new Journal(options));
  journal->opened_ = now.steady;
  ORCH_RETURN_IF_ERROR(base::Annotate(journal->OpenDatabase(), options.path));
  ORCH_RETURN_IF_ERROR(journal->CheckSequence(now));
  return journal;
}

absl::Status Journal::Create() {
  created_ = true;
  identity_ = base::Hex(options_.random->Bytes(16));
  ORCH_RETURN_IF_ERROR(Execute(db_, kSchema, "create"));
  const std::string marks = absl::StrCat("PRAGMA application_id=", kApplicationId,
                                         "; PRAGMA user_version=", kSchemaVersion);
  ORCH_RETURN_IF_ERROR(Execute(db_, marks.c_str(), "create"));
  Statement meta(db_, "INSERT INTO meta VALUES (?, 0, ?, ?)");
  meta.Text(identity_).Integer(CeilMicros(newest_issue_)).Integer(CeilMicros(floor_));
  ORCH_RETURN_IF_ERROR(meta.Run());
  return Execute(db_, "COMMIT", "create");
}

absl::Status Journal::OpenDatabase() {
  // Made here so that nobody else can read it; SQLite gives its log the same mode.
  const int fd = open(options_.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return absl::ErrnoToStatus(errno, "open journal");
  close(fd);
  if (sqlite3_open_v2(options_.path.c_str(), &db_, SQLITE_OPEN_READWRITE, nullptr) != SQLITE_OK) {
    return ErrorOf(db_, "open");
  }
  sqlite3_busy_timeout(db_, kBusyTimeout_ms);
  // Exclusive: two agents on one state directory could both start a run.
  ORCH_RETURN_IF_ERROR(Execute(db_,
                               "PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-256;"
                               "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                               "PRAGMA journal_size_limit=1048576;",
                               "configure"));
  ORCH_RETURN_IF_ERROR(Execute(db_, "BEGIN IMMEDIATE", "lock"));
  const absl::Cleanup rollback = [this] {
    if (sqlite3_get_autocommit(db_) == 0) Execute(db_, "ROLLBACK", "rollback").IgnoreError();
  };
  Statement tables(db_, "SELECT count(*) FROM sqlite_schema");
  ORCH_RETURN_IF_ERROR(tables.Run());
  Statement version(db_, "PRAGMA user_version");
  ORCH_RETURN_IF_ERROR(version.Run());
  Statement application(db_, "PRAGMA application_id");
  ORCH_RETURN_IF_ERROR(application.Run());
  if (tables.IntegerAt(0) == 0 && version.IntegerAt(0) == 0) return Create();
  if (application.IntegerAt(0) != kApplicationId) {
    return absl::DataLossError("not a journal of orch; move it away to start with an empty one");
  }
  if (version.IntegerAt(0) > kSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat("written by a newer version (schema ",
                                                      version.IntegerAt(0), ", this one knows ",
                                                      kSchemaVersion, ")"));
  }
  Statement check(db_, "PRAGMA quick_check(1)");
  ORCH_RETURN_IF_ERROR(check.Run());
  if (check.BytesAt(0) != "ok") {
    return absl::DataLossError(absl::StrCat(
        "journal is damaged (", check.BytesAt(0),
        "); move it away to start with an empty one, which refuses all older requests"));
  }
  Statement meta(db_, "SELECT identity, sequence, newest_issue_us, floor_us FROM meta");
  ORCH_ASSIGN_OR_RETURN(const bool found, meta.Step());
  if (!found) return absl::DataLossError("journal is damaged (its meta row is missing)");
  identity_ = meta.BytesAt(0);
  sequence_ = meta.IntegerAt(1);
  newest_issue_ = FromMicros(meta.IntegerAt(2));
  floor_ = FromMicros(meta.IntegerAt(3));
  return absl::OkStatus();
}

absl::Status Journal::CheckSequence(base::Now now) {
  absl::Time newest = newest_issue_;
  const absl::StatusOr<std::string> text = base::ReadFile(options_.sequence_path, kSequenceFileMax);
  const nlohmann::json file =
      text.ok() ? nlohmann::json::parse(*text, nullptr, false) : nlohmann::json();
  const bool sound = file.is_object() && file.value("journal", nlohmann::json()).is_string() &&
                     file.value("sequence", nlohmann::json()).is_number_unsigned() &&
                     file.value("newest_issue_us", nlohmann::json()).is_number_integer();
  if (sound) newest = std::max(newest, FromMicros(file["newest_issue_us"].get<int64_t>()));
  if (created_) {
    reset_reason_ = "the journal is new";
  } else if (!sound) {
    reset_reason_ = absl::StrCat("no usable ", options_.sequence_path, " (a boot?)");
  } else if (file.value("boot", nlohmann::json()) != BootId()) {
    reset_reason_ = "the machine was booted";
  } else if (file["journal"].get_ref<const std::string&>() != identity_ ||
             file["sequence"].get<uint64_t>() > sequence_) {
    reset_reason_ = "the journal was rolled back or exchanged";
  }
  if (!reset_reason_.empty()) {
    follow_clock_ = true;
    ORCH_RETURN_IF_ERROR(RaiseFloor(std::max(now.wall, newest)));
  }
  // Written at once: where it can't be, nothing could ever be accepted, and now is the time to say
  // so.
  return WriteSequence(sequence_, newest);
}

absl::Status Journal::WriteSequence(uint64_t sequence, absl::Time issued) {
  newest_issue_ = std::max(newest_issue_, issued);
  const nlohmann::json file = {{"journal", identity_},
                               {"sequence", sequence},
                               {"newest_issue_us", CeilMicros(newest_issue_)},
                               {"boot", BootId()}};
  return base::Annotate(base::WriteFileAtomically(options_.sequence_path, file.dump(), 0600),
                        "journal sequence");
}

absl::Status Journal::RaiseFloor(absl::Time floor) {
  if (floor <= floor_) return absl::OkStatus();
  Statement update(db_, "UPDATE meta SET floor_us = ?");
  ORCH_RETURN_IF_ERROR(update.Integer(CeilMicros(floor)).Run());
  floor_ = floor;
  return absl::OkStatus();
}

absl::Time Journal::Floor(base::Now now) const {
  if (!follow_clock_) return floor_;
  // The instant of Open by today's clock: a clock that was wrong at boot and is set right later
  // takes the floor along.
  return std::max(floor_, now.wall - (now.steady - opened_));
}

absl::StatusOr<bool> Journal::HasRoom() const {
  Statement count(db_, "SELECT count(*) FROM entries");
  ORCH_RETURN_IF_ERROR(count.Run());
  if (count.IntegerAt(0) >= options_.entries_max) return false;
  Statement size(db_,
                 "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count(), "
                 "pragma_freelist_count(), pragma_page_size()");
  ORCH_RETURN_IF_ERROR(size.Run());
  return size.IntegerAt(0) < kJournalBytesMax;
}

absl::StatusOr<AcceptResult> Journal::Accept(const JournalRequest& request, base::Now now) {
  AcceptResult result;
  result.floor = Floor(now);
  if (options_.plants.no_journal) {
    result.acceptance = Acceptance::kAccepted;
    return result;
  }
  ORCH_ASSIGN_OR_RETURN(const std::optional<JournalEntry> known, Find(request.request_id));
  if (known.has_value()) {
    result.acceptance = Acceptance::kDuplicate;
    result.known = *known;
    return result;
  }
  if (request.issue_time <= result.floor) {
    result.acceptance = Acceptance::kStale;
    return result;
  }
  if (request.expire_time <= now.wall && !options_.plants.expired_accepted) {
    result.acceptance = Acceptance::kExpired;
    return result;
  }
  ORCH_ASSIGN_OR_RETURN(bool room, HasRoom());
  if (!room) {
    ORCH_RETURN_IF_ERROR(Purge(now));
    ORCH_ASSIGN_OR_RETURN(room, HasRoom());
  }
  if (!room || request.request.size() > kJournalRequestMax) {
    result.acceptance = Acceptance::kFull;
    return result;
  }
  // First the sequence: a crash between the two looks like a roll-back, which refuses too much,
  // never too little.
  ORCH_RETURN_IF_ERROR(WriteSequence(sequence_ + 1, request.issue_time));
  ORCH_RETURN_IF_ERROR(Insert(request, now));
  sequence_++;
  result.acceptance = Acceptance::kAccepted;
  return result;
}

absl::Status Journal::Insert(const JournalRequest& request, base::Now now) {
  ORCH_RETURN_IF_ERROR(Execute(db_, "BEGIN IMMEDIATE", "accept"));
  const absl::Cleanup rollback = [this] {
    if (sqlite3_get_autocommit(db_) == 0) Execute(db_, "ROLLBACK", "rollback").IgnoreError();
  };
  Statement insert(db_, absl::StrCat("INSERT INTO entries (", kColumns,
                                     ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)"));
  insert.Blob(request.request_id).Blob(request.digest).Text(request.job_id).Text(request.caller);
  insert.Blob(request.request)
      .Integer(CeilMicros(request.issue_time))
      .Integer(CeilMicros(request.expire_time))
      .Integer(CeilMicros(now.wall))
      .Integer(static_cast<int>(JournalState::kAccepted));
  ORCH_RETURN_IF_ERROR(insert.Run());
  const absl::Time floor = Floor(now);
  Statement meta(db_, "UPDATE meta SET sequence = ?, newest_issue_us = ?, floor_us = ?");
  meta.Integer(sequence_ + 1).Integer(CeilMicros(newest_issue_)).Integer(CeilMicros(floor));
  ORCH_RETURN_IF_ERROR(meta.Run());
  ORCH_RETURN_IF_ERROR(Execute(db_, "COMMIT", "accept"));
  floor_ = floor;
  return absl::OkStatus();
}

absl::Status Journal::MarkStarted(const std::string& request_id) {
  Statement update(db_, "UPDATE entries SET state = max(state, ?) WHERE request_id = ?");
  update.Integer(static_cast<int>(JournalState::kStarted)).Blob(request_id);
  ORCH_RETURN_IF_ERROR(update.Run());
  if (sqlite3_changes(db_) == 0) return absl::NotFoundError("journal: no such request");
  return absl::OkStatus();
}

absl::Status Journal::Finish(const std::string& request_id, const std::string& outcome,
                             base::Now now) {
  if (outcome.size() > kJournalOutcomeMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("journal: an outcome of ", outcome.size(), " bytes"));
  }
  ORCH_ASSIGN_OR_RETURN(const std::optional<JournalEntry> known, Find(request_id));
  if (!known.has_value()) return absl::NotFoundError("journal: no such request");
  Statement update(db_,
                   "UPDATE entries SET state = ?1, outcome = ?2, end_us = ?3 "
                   "WHERE request_id = ?4 AND state <> ?1");
  update.Integer(static_cast<int>(JournalState::kDone))
      .Blob(outcome)
      .Integer(CeilMicros(now.wall))
      .Blob(request_id);
  return update.Run();
}

absl::StatusOr<std::optional<JournalEntry>> Journal::Find(const std::string& request_id) const {
  Statement select(db_, absl::StrCat("SELECT ", kColumns, " FROM entries WHERE request_id = ?"));
  ORCH_ASSIGN_OR_RETURN(const bool found, select.Blob(request_id).Step());
  if (!found) return std::optional<JournalEntry>();
  return std::optional<JournalEntry>(EntryOf(select));
}

absl::StatusOr<std::vector<JournalEntry>> Journal::Unfinished() const {
  Statement select(
      db_, absl::StrCat("SELECT ", kColumns, " FROM entries WHERE state <> ? ORDER BY accept_us"));
  select.Integer(static_cast<int>(JournalState::kDone));
  std::vector<JournalEntry> entries;
  for (;;) {
    ORCH_ASSIGN_OR_RETURN(const bool more, select.Step());
    if (!more) return entries;
    entries.push_back(EntryOf(select));
  }
}

absl::Status Journal::Purge(base::Now now) {
  const std::string gone =
      absl::StrCat(" WHERE state = ", static_cast<int>(JournalState::kDone),
                   " AND end_us <= ", CeilMicros(now.wall - options_.result_retention),
                   " AND expire_us <= ", CeilMicros(now.wall));
  Statement newest(db_, absl::StrCat("SELECT count(*), max(issue_us) FROM entries", gone));
  ORCH_RETURN_IF_ERROR(newest.Run());
  if (newest.IntegerAt(0) == 0) return absl::OkStatus();
  // Even if the clock jumped and jumps back: what is forgotten can't come again.
  ORCH_RETURN_IF_ERROR(RaiseFloor(FromMicros(newest.IntegerAt(1))));
  return Statement(db_, absl::StrCat("DELETE FROM entries", gone)).Run();
}

}  // namespace orch::nodeagent
