// SPDX-License-Identifier: Apache-2.0

// The order of writes carries the promise of journal.h. An acceptance writes the number of the
// acceptance to the file in /run first and the entry second: a crash in between looks like a
// roll-back, which refuses too much; the other order would accept a request twice after the
// database was restored from a copy. A purge raises the floor before it deletes. The floor is
// rounded up to whole microseconds. A journal that is damaged is never made anew by itself: an
// empty journal and old requests are exactly what must not meet. The database is opened
// exclusively, because two agents on one journal could both start a run.

#include "nodeagent/journal/journal.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/sqlite.h"
#include "base/status.h"

namespace orch::nodeagent {
namespace {

using base::Statement;

constexpr int kSchemaVersion = 1;
constexpr int kApplicationId = 0x6f726368;  // "orch"
constexpr size_t kSequenceFileMax = 4096;
// Another agent that is about to end may hold the file so long.
constexpr absl::Duration kBusyTimeout = absl::Seconds(2);
constexpr int kCacheKib = 256;
constexpr int64_t kLogBytes = 1 << 20;

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

// Rounded up, so that a floor never ends below the instant that it stands for.
int64_t CeilMicros(absl::Time time) {
  if (time == absl::InfinitePast()) return std::numeric_limits<int64_t>::min();
  return absl::ToUnixMicros(time + absl::Nanoseconds(999));
}

absl::Time FromMicros(int64_t us) {
  return us == std::numeric_limits<int64_t>::min() ? absl::InfinitePast()
                                                   : absl::FromUnixMicros(us);
}

// The columns of `entries` in their order.
JournalEntry EntryOf(const Statement& row) {
  JournalEntry entry;
  entry.request.request_id = std::string(row.BytesAt(0));
  entry.request.digest = std::string(row.BytesAt(1));
  entry.request.job_id = std::string(row.BytesAt(2));
  entry.request.caller = std::string(row.BytesAt(3));
  entry.request.request = std::string(row.BytesAt(4));
  entry.request.issue_time = FromMicros(row.IntAt(5));
  entry.request.expire_time = FromMicros(row.IntAt(6));
  entry.accept_time = FromMicros(row.IntAt(7));
  entry.state = static_cast<JournalState>(row.IntAt(8));
  entry.outcome = std::string(row.BytesAt(9));
  entry.end_time = FromMicros(row.IntAt(10));
  return entry;
}

std::string BootId() {
  const absl::StatusOr<std::string> id = base::ReadFile("/proc/sys/kernel/random/boot_id", 256);
  return id.ok() ? std::string(absl::StripSuffix(*id, "\n")) : "";
}

}  // namespace

Journal::Journal(const JournalOptions& options)
    : options_(options), newest_issue_(absl::InfinitePast()), floor_(absl::InfinitePast()) {}

Journal::~Journal() = default;

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(const JournalOptions& options,
                                                       base::Now now) {
  std::unique_ptr<Journal> journal(new Journal(options));
  journal->opened_ = now.steady;
  ORCH_RETURN_IF_ERROR(journal->OpenDatabase());
  ORCH_RETURN_IF_ERROR(journal->CheckSequence(now));
  return journal;
}

absl::Status Journal::Create() {
  created_ = true;
  identity_ = base::Hex(base::RandomBytes16());
  ORCH_RETURN_IF_ERROR(database_->Execute(kSchema));
  const std::string marks = absl::StrCat("PRAGMA application_id=", kApplicationId,
                                         "; PRAGMA user_version=", kSchemaVersion);
  ORCH_RETURN_IF_ERROR(database_->Execute(marks.c_str()));
  Statement meta = database_->Prepare("INSERT INTO meta VALUES (?, 0, ?, ?)");
  meta.Text(identity_).Int(CeilMicros(newest_issue_)).Int(CeilMicros(floor_));
  return meta.Run();
}

absl::Status Journal::OpenDatabase() {
  // Exclusive: two agents on one state directory could both start a run.
  ORCH_ASSIGN_OR_RETURN(database_, base::Database::Open({.name = "journal",
                                                         .path = options_.path,
                                                         .exclusive = true,
                                                         .cache_kib = kCacheKib,
                                                         .log_bytes = kLogBytes,
                                                         .busy_timeout = kBusyTimeout}));
  base::Transaction transaction(database_.get());
  ORCH_RETURN_IF_ERROR(transaction.Begin());
  ORCH_RETURN_IF_ERROR(base::Annotate(CheckOrCreate(), options_.path));
  return transaction.Commit();
}

absl::Status Journal::CheckOrCreate() {
  Statement tables = database_->Prepare("SELECT count(*) FROM sqlite_schema");
  ORCH_RETURN_IF_ERROR(tables.Run());
  Statement version = database_->Prepare("PRAGMA user_version");
  ORCH_RETURN_IF_ERROR(version.Run());
  Statement application = database_->Prepare("PRAGMA application_id");
  ORCH_RETURN_IF_ERROR(application.Run());
  if (tables.IntAt(0) == 0 && version.IntAt(0) == 0) return Create();
  if (application.IntAt(0) != kApplicationId) {
    return absl::DataLossError("not a journal of orch; move it away to start with an empty one");
  }
  if (version.IntAt(0) > kSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat("written by a newer version (schema ",
                                                      version.IntAt(0), ", this one knows ",
                                                      kSchemaVersion, ")"));
  }
  Statement check = database_->Prepare("PRAGMA quick_check(1)");
  ORCH_RETURN_IF_ERROR(check.Run());
  if (check.BytesAt(0) != "ok") {
    return absl::DataLossError(absl::StrCat(
        "journal is damaged (", check.BytesAt(0),
        "); move it away to start with an empty one, which refuses all older requests"));
  }
  Statement meta =
      database_->Prepare("SELECT identity, sequence, newest_issue_us, floor_us FROM meta");
  ORCH_ASSIGN_OR_RETURN(const bool found, meta.Next());
  if (!found) return absl::DataLossError("journal is damaged (its meta row is missing)");
  identity_ = std::string(meta.BytesAt(0));
  sequence_ = meta.IntAt(1);
  newest_issue_ = FromMicros(meta.IntAt(2));
  floor_ = FromMicros(meta.IntAt(3));
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
  Statement update = database_->Prepare("UPDATE meta SET floor_us = ?");
  ORCH_RETURN_IF_ERROR(update.Int(CeilMicros(floor)).Run());
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
  Statement count = database_->Prepare("SELECT count(*) FROM entries");
  ORCH_RETURN_IF_ERROR(count.Run());
  if (count.IntAt(0) >= options_.entries_max) return false;
  Statement size = database_->Prepare(
      "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count(), "
      "pragma_freelist_count(), pragma_page_size()");
  ORCH_RETURN_IF_ERROR(size.Run());
  return size.IntAt(0) < kJournalBytesMax;
}

absl::StatusOr<AcceptResult> Journal::Accept(const JournalRequest& request, base::Now now) {
  AcceptResult result;
  result.floor = Floor(now);
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
  if (request.expire_time <= now.wall) {
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
  base::Transaction transaction(database_.get());
  ORCH_RETURN_IF_ERROR(transaction.Begin());
  Statement insert =
      database_->Prepare("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)");
  insert.Blob(request.request_id).Blob(request.digest).Text(request.job_id).Text(request.caller);
  insert.Blob(request.request)
      .Int(CeilMicros(request.issue_time))
      .Int(CeilMicros(request.expire_time))
      .Int(CeilMicros(now.wall))
      .Int(static_cast<int>(JournalState::kAccepted));
  ORCH_RETURN_IF_ERROR(insert.Run());
  const absl::Time floor = Floor(now);
  Statement meta =
      database_->Prepare("UPDATE meta SET sequence = ?, newest_issue_us = ?, floor_us = ?");
  meta.Int(sequence_ + 1).Int(CeilMicros(newest_issue_)).Int(CeilMicros(floor));
  ORCH_RETURN_IF_ERROR(meta.Run());
  ORCH_RETURN_IF_ERROR(transaction.Commit());
  floor_ = floor;
  return absl::OkStatus();
}

absl::Status Journal::MarkStarted(const std::string& request_id) {
  Statement update =
      database_->Prepare("UPDATE entries SET state = max(state, ?) WHERE request_id = ?");
  update.Int(static_cast<int>(JournalState::kStarted)).Blob(request_id);
  ORCH_RETURN_IF_ERROR(update.Run());
  if (database_->Changes() == 0) return absl::NotFoundError("journal: no such request");
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
  Statement update = database_->Prepare(
      "UPDATE entries SET state = ?1, outcome = ?2, end_us = ?3 "
      "WHERE request_id = ?4 AND state <> ?1");
  update.Int(static_cast<int>(JournalState::kDone))
      .Blob(outcome)
      .Int(CeilMicros(now.wall))
      .Blob(request_id);
  return update.Run();
}

absl::StatusOr<std::optional<JournalEntry>> Journal::Find(const std::string& request_id) const {
  Statement select = database_->Prepare("SELECT * FROM entries WHERE request_id = ?");
  ORCH_ASSIGN_OR_RETURN(const bool found, select.Blob(request_id).Next());
  if (!found) return std::optional<JournalEntry>();
  return std::optional<JournalEntry>(EntryOf(select));
}

absl::StatusOr<std::vector<JournalEntry>> Journal::Unfinished() const {
  Statement select =
      database_->Prepare("SELECT * FROM entries WHERE state <> ? ORDER BY accept_us");
  select.Int(static_cast<int>(JournalState::kDone));
  std::vector<JournalEntry> entries;
  for (;;) {
    ORCH_ASSIGN_OR_RETURN(const bool more, select.Next());
    if (!more) return entries;
    entries.push_back(EntryOf(select));
  }
}

absl::Status Journal::Purge(base::Now now) {
  const int64_t ended_us = CeilMicros(now.wall - options_.result_retention);
  const int64_t now_us = CeilMicros(now.wall);
  const int done = static_cast<int>(JournalState::kDone);
  Statement newest = database_->Prepare(
      "SELECT count(*), max(issue_us) FROM entries "
      "WHERE state = ? AND end_us <= ? AND expire_us <= ?");
  ORCH_RETURN_IF_ERROR(newest.Int(done).Int(ended_us).Int(now_us).Run());
  if (newest.IntAt(0) == 0) return absl::OkStatus();
  // Even if the clock jumped and jumps back: what is forgotten can't come again.
  ORCH_RETURN_IF_ERROR(RaiseFloor(FromMicros(newest.IntAt(1))));
  return database_
      ->Prepare("DELETE FROM entries WHERE state = ? AND end_us <= ? AND expire_us <= ?")
      .Int(done)
      .Int(ended_us)
      .Int(now_us)
      .Run();
}

}  // namespace orch::nodeagent
