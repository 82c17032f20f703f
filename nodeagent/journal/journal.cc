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

constexpr int kSchemaVersion = 2;
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
// Forward-only: each takes a journal one version further.
constexpr char kSchema2[] = R"sql(
  ALTER TABLE entries ADD COLUMN controller TEXT NOT NULL DEFAULT '';
  CREATE INDEX entries_by_party ON entries (controller, caller);
  CREATE TABLE cancelled (job_id TEXT PRIMARY KEY NOT NULL, until_us INTEGER NOT NULL);
)sql";

constexpr char kColumns[] =
    "request_id, digest, job_id, caller, request, issue_us, expire_us, accept_us, state, outcome, "
    "end_us, controller";

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
  entry.request.controller = row.BytesAt(11);
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
  const std::string mark = absl::StrCat("PRAGMA application_id=", kApplicationId);
  ORCH_RETURN_IF_ERROR(Execute(db_, mark.c_str(), "create"));
  {
    Statement meta(db_, "INSERT INTO meta VALUES (?, 0, ?, ?)");
    meta.Text(identity_).Integer(CeilMicros(newest_issue_)).Integer(CeilMicros(floor_));
    ORCH_RETURN_IF_ERROR(meta.Run());
  }
  return Migrate(1);
}

absl::Status Journal::Migrate(int64_t version) {
  if (version < 2) ORCH_RETURN_IF_ERROR(Execute(db_, kSchema2, "migrate"));
  const std::string mark = absl::StrCat("PRAGMA user_version=", kSchemaVersion);
  ORCH_RETURN_IF_ERROR(Execute(db_, mark.c_str(), "migrate"));
  return Execute(db_, "COMMIT", "migrate");
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
  // What reads is over before the schema is changed.
  ORCH_ASSIGN_OR_RETURN(const int64_t written, ReadMeta());
  if (written == 0) return Create();
  return written < kSchemaVersion ? Migrate(written) : absl::OkStatus();
}

absl::StatusOr<int64_t> Journal::ReadMeta() {
  Statement tables(db_, "SELECT count(*) FROM sqlite_schema");
  ORCH_RETURN_IF_ERROR(tables.Run());
  Statement version(db_, "PRAGMA user_version");
  ORCH_RETURN_IF_ERROR(version.Run());
  Statement application(db_, "PRAGMA application_id");
  ORCH_RETURN_IF_ERROR(application.Run());
  if (tables.IntegerAt(0) == 0 && version.IntegerAt(0) == 0) return 0;
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
  return version.IntegerAt(0);
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

absl::StatusOr<bool> Journal::HasRoom(int reserve) const {
  Statement count(db_, "SELECT count(*) FROM entries");
  ORCH_RETURN_IF_ERROR(count.Run());
  if (count.IntegerAt(0) >= options_.entries_max + reserve) return false;
  Statement size(db_,
                 "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count(), "
                 "pragma_freelist_count(), pragma_page_size()");
  ORCH_RETURN_IF_ERROR(size.Run());
  // What uses the reserve is small.
  return size.IntegerAt(0) < kJournalBytesMax + int64_t{reserve} * (4 << 10);
}

absl::StatusOr<bool> Journal::HasShare(const JournalRequest& request) const {
  if (request.stops) return true;
  Statement count(db_, "SELECT count(*) FROM entries WHERE controller = ? AND caller = ?");
  ORCH_RETURN_IF_ERROR(count.Text(request.controller).Text(request.caller).Run());
  return count.IntegerAt(0) < options_.share_max;
}

absl::StatusOr<bool> Journal::MakeRoom(const JournalRequest& request, int reserve, base::Now now) {
  ORCH_ASSIGN_OR_RETURN(bool share, HasShare(request));
  if (!share) {
    ORCH_RETURN_IF_ERROR(Forget(&request, now));
    ORCH_ASSIGN_OR_RETURN(share, HasShare(request));
    if (!share) return false;
  }
  ORCH_ASSIGN_OR_RETURN(bool room, HasRoom(reserve));
  if (room) return true;
  ORCH_RETURN_IF_ERROR(Purge(now));
  ORCH_ASSIGN_OR_RETURN(room, HasRoom(reserve));
  if (room) return true;
  ORCH_RETURN_IF_ERROR(Forget(nullptr, now));
  return HasRoom(reserve);
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
  ORCH_ASSIGN_OR_RETURN(const bool room,
                        MakeRoom(request, request.stops ? kJournalReserve : 0, now));
  // Making room may have raised it above this request.
  result.floor = Floor(now);
  if (request.issue_time <= result.floor) {
    result.acceptance = Acceptance::kStale;
    return result;
  }
  if (!room || request.request.size() > kJournalRequestMax) {
    result.acceptance = Acceptance::kFull;
    return result;
  }
  // First the sequence: a crash between the two looks like a roll-back, which refuses too much,
  // never too little.
  ORCH_RETURN_IF_ERROR(WriteSequence(sequence_ + 1, request.issue_time));
  ORCH_RETURN_IF_ERROR(Insert(request, nullptr, now));
  sequence_++;
  result.acceptance = Acceptance::kAccepted;
  return result;
}

absl::StatusOr<bool> Journal::Refuse(const JournalRequest& request, const std::string& outcome,
                                     base::Now now) {
  ORCH_ASSIGN_OR_RETURN(const std::optional<JournalEntry> known, Find(request.request_id));
  const absl::Time last = now.wall + kRefusalRememberedMax;
  if (known.has_value() || request.issue_time > last) return false;
  // What claims to be valid for ever is not remembered for ever: its lifetime alone refuses it.
  JournalRequest kept = request;
  kept.expire_time = std::min(kept.expire_time, last);
  ORCH_ASSIGN_OR_RETURN(const bool room, MakeRoom(kept, kJournalReserve / 2, now));
  if (!room || kept.request.size() > kJournalRequestMax || outcome.size() > kJournalOutcomeMax) {
    return false;
  }
  ORCH_RETURN_IF_ERROR(WriteSequence(sequence_ + 1, kept.issue_time));
  ORCH_RETURN_IF_ERROR(Insert(kept, &outcome, now));
  sequence_++;
  return true;
}

absl::Status Journal::Cancel(const std::string& job_id, absl::Time until, base::Now now) {
  Statement forget(db_, "DELETE FROM cancelled WHERE until_us <= ?");
  ORCH_RETURN_IF_ERROR(forget.Integer(CeilMicros(now.wall)).Run());
  Statement count(db_, "SELECT count(*) FROM cancelled");
  ORCH_RETURN_IF_ERROR(count.Run());
  if (count.IntegerAt(0) >= kJournalCancelsMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("journal: ", kJournalCancelsMax, " cancelled jobs are remembered already"));
  }
  Statement insert(db_, "INSERT OR REPLACE INTO cancelled VALUES (?, ?)");
  return insert.Text(job_id).Integer(CeilMicros(until)).Run();
}

absl::StatusOr<std::vector<CancelledJob>> Journal::Cancelled(base::Now now) const {
  Statement select(db_, "SELECT job_id, until_us FROM cancelled WHERE until_us > ?");
  select.Integer(CeilMicros(now.wall));
  std::vector<CancelledJob> jobs;
  for (;;) {
    ORCH_ASSIGN_OR_RETURN(const bool more, select.Step());
    if (!more) return jobs;
    jobs.push_back({select.BytesAt(0), FromMicros(select.IntegerAt(1))});
  }
}

absl::Status Journal::Insert(const JournalRequest& request, const std::string* outcome,
                             base::Now now) {
  ORCH_RETURN_IF_ERROR(Execute(db_, "BEGIN IMMEDIATE", "accept"));
  const absl::Cleanup rollback = [this] {
    if (sqlite3_get_autocommit(db_) == 0) Execute(db_, "ROLLBACK", "rollback").IgnoreError();
  };
  const std::string done = outcome == nullptr ? "" : *outcome;
  Statement insert(db_, absl::StrCat("INSERT INTO entries (", kColumns,
                                     ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  insert.Blob(request.request_id).Blob(request.digest).Text(request.job_id).Text(request.caller);
  insert.Blob(request.request)
      .Integer(CeilMicros(request.issue_time))
      .Integer(CeilMicros(request.expire_time))
      .Integer(CeilMicros(now.wall))
      .Integer(static_cast<int>(outcome == nullptr ? JournalState::kAccepted : JournalState::kDone))
      .Blob(done)
      .Integer(outcome == nullptr ? 0 : CeilMicros(now.wall))
      .Text(request.controller);
  ORCH_RETURN_IF_ERROR(insert.Run());
  const absl::Time floor = Floor(now);
  Statement meta(db_, "UPDATE meta SET sequence = ?, newest_issue_us = ?, floor_us = ?");
  meta.Integer(sequence_ + 1).Integer(CeilMicros(newest_issue_)).Integer(CeilMicros(floor));
  ORCH_RETURN_IF_ERROR(meta.Run());
  ORCH_RETURN_IF_ERROR(Execute(db_, "COMMIT", "accept"));
  floor_ = floor;
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

absl::Status Journal::Forget(const JournalRequest* party, base::Now now) {
  // What is not expired, or was issued in the future, could still come again: it is kept.
  const std::string oldest = absl::StrCat(
      "SELECT rowid, issue_us FROM entries WHERE state = ?1 AND expire_us <= ?2 AND issue_us <= ?2",
      party == nullptr ? "" : " AND controller = ?3 AND caller = ?4", " ORDER BY issue_us LIMIT ",
      kJournalForgottenAtOnce);
  const auto bind = [&](Statement& statement) {
    statement.Integer(static_cast<int>(JournalState::kDone)).Integer(CeilMicros(now.wall));
    if (party != nullptr) statement.Text(party->controller).Text(party->caller);
  };
  Statement newest(db_, absl::StrCat("SELECT count(*), max(issue_us) FROM (", oldest, ")"));
  bind(newest);
  ORCH_RETURN_IF_ERROR(newest.Run());
  if (newest.IntegerAt(0) == 0) return absl::OkStatus();
  ORCH_RETURN_IF_ERROR(RaiseFloor(FromMicros(newest.IntegerAt(1))));
  Statement gone(
      db_, absl::StrCat("DELETE FROM entries WHERE rowid IN (SELECT rowid FROM (", oldest, "))"));
  bind(gone);
  return gone.Run();
}

}  // namespace orch::nodeagent
