// SPDX-License-Identifier: Apache-2.0
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

constexpr int kSchemaVersion = 2;
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
// Forward-only: each takes a journal one version further.
constexpr char kSchema2[] = R"sql(
  ALTER TABLE entries ADD COLUMN controller TEXT NOT NULL DEFAULT '';
  CREATE INDEX entries_by_party ON entries (controller, caller);
  CREATE TABLE cancelled (job_id TEXT PRIMARY KEY NOT NULL, until_us INTEGER NOT NULL);
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
  entry.request.controller = std::string(row.BytesAt(11));
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
  identity_ = base::Hex(options_.random->Bytes(16));
  ORCH_RETURN_IF_ERROR(database_->Execute(kSchema));
  const std::string mark = absl::StrCat("PRAGMA application_id=", kApplicationId);
  ORCH_RETURN_IF_ERROR(database_->Execute(mark.c_str()));
  Statement meta = database_->Prepare("INSERT INTO meta VALUES (?, 0, ?, ?)");
  meta.Text(identity_).Int(CeilMicros(newest_issue_)).Int(CeilMicros(floor_));
  ORCH_RETURN_IF_ERROR(meta.Run());
  return Migrate(1);
}

absl::Status Journal::Migrate(int64_t version) {
  if (version < 2) ORCH_RETURN_IF_ERROR(database_->Execute(kSchema2));
  const std::string mark = absl::StrCat("PRAGMA user_version=", kSchemaVersion);
  return database_->Execute(mark.c_str());
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
  // What reads is over before the schema is changed.
  ORCH_ASSIGN_OR_RETURN(const int64_t written, ReadMeta());
  if (written == 0) return Create();
  return written < kSchemaVersion ? Migrate(written) : absl::OkStatus();
}

absl::StatusOr<int64_t> Journal::ReadMeta() {
  Statement tables = database_->Prepare("SELECT count(*) FROM sqlite_schema");
  ORCH_RETURN_IF_ERROR(tables.Run());
  Statement version = database_->Prepare("PRAGMA user_version");
  ORCH_RETURN_IF_ERROR(version.Run());
  Statement application = database_->Prepare("PRAGMA application_id");
  ORCH_RETURN_IF_ERROR(application.Run());
  if (tables.IntAt(0) == 0 && version.IntAt(0) == 0) return 0;
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
  return version.IntAt(0);
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

absl::StatusOr<bool> Journal::HasRoom(int reserve) const {
  Statement count = database_->Prepare("SELECT count(*) FROM entries");
  ORCH_RETURN_IF_ERROR(count.Run());
  if (count.IntAt(0) >= options_.entries_max + reserve) return false;
  Statement size = database_->Prepare(
      "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count(), "
      "pragma_freelist_count(), pragma_page_size()");
  ORCH_RETURN_IF_ERROR(size.Run());
  // What uses the reserve is small.
  return size.IntAt(0) < kJournalBytesMax + int64_t{reserve} * (4 << 10);
}

absl::StatusOr<bool> Journal::HasShare(const JournalRequest& request) const {
  if (request.stops) return true;
  Statement count =
      database_->Prepare("SELECT count(*) FROM entries WHERE controller = ? AND caller = ?");
  ORCH_RETURN_IF_ERROR(count.Text(request.controller).Text(request.caller).Run());
  return count.IntAt(0) < options_.share_max;
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
  Statement forget = database_->Prepare("DELETE FROM cancelled WHERE until_us <= ?");
  ORCH_RETURN_IF_ERROR(forget.Int(CeilMicros(now.wall)).Run());
  Statement count = database_->Prepare("SELECT count(*) FROM cancelled");
  ORCH_RETURN_IF_ERROR(count.Run());
  if (count.IntAt(0) >= kJournalCancelsMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("journal: ", kJournalCancelsMax, " cancelled jobs are remembered already"));
  }
  Statement insert = database_->Prepare("INSERT OR REPLACE INTO cancelled VALUES (?, ?)");
  return insert.Text(job_id).Int(CeilMicros(until)).Run();
}

absl::StatusOr<std::vector<CancelledJob>> Journal::Cancelled(base::Now now) const {
  Statement select =
      database_->Prepare("SELECT job_id, until_us FROM cancelled WHERE until_us > ?");
  select.Int(CeilMicros(now.wall));
  std::vector<CancelledJob> jobs;
  for (;;) {
    ORCH_ASSIGN_OR_RETURN(const bool more, select.Next());
    if (!more) return jobs;
    jobs.push_back({std::string(select.BytesAt(0)), FromMicros(select.IntAt(1))});
  }
}

absl::Status Journal::Insert(const JournalRequest& request, const std::string* outcome,
                             base::Now now) {
  base::Transaction transaction(database_.get());
  ORCH_RETURN_IF_ERROR(transaction.Begin());
  Statement insert =
      database_->Prepare("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  insert.Blob(request.request_id).Blob(request.digest).Text(request.job_id).Text(request.caller);
  insert.Blob(request.request)
      .Int(CeilMicros(request.issue_time))
      .Int(CeilMicros(request.expire_time))
      .Int(CeilMicros(now.wall))
      .Int(static_cast<int>(outcome == nullptr ? JournalState::kAccepted : JournalState::kDone));
  if (outcome == nullptr) {
    insert.Null().Null();
  } else {
    insert.Blob(*outcome).Int(CeilMicros(now.wall));
  }
  insert.Text(request.controller);
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

// The oldest of what is done, expired, and was not issued in the future: all else could still come
// again.
absl::Status Journal::Forget(const JournalRequest* party, base::Now now) {
  static constexpr char kOldest[] =
      "SELECT count(*), max(issue_us) FROM (SELECT issue_us FROM entries WHERE state = ?1 "
      "AND expire_us <= ?2 AND issue_us <= ?2 AND (?3 OR (controller = ?4 AND caller = ?5)) "
      "ORDER BY issue_us LIMIT ?6)";
  static constexpr char kForget[] =
      "DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries WHERE state = ?1 "
      "AND expire_us <= ?2 AND issue_us <= ?2 AND (?3 OR (controller = ?4 AND caller = ?5)) "
      "ORDER BY issue_us LIMIT ?6)";
  const auto bind = [&](Statement& statement) -> Statement& {
    return statement.Int(static_cast<int>(JournalState::kDone))
        .Int(CeilMicros(now.wall))
        .Int(party == nullptr ? 1 : 0)
        .Text(party == nullptr ? absl::string_view() : party->controller)
        .Text(party == nullptr ? absl::string_view() : party->caller)
        .Int(kJournalForgottenAtOnce);
  };
  int64_t newest_us = 0;
  {
    Statement newest = database_->Prepare(kOldest);
    ORCH_RETURN_IF_ERROR(bind(newest).Run());
    if (newest.IntAt(0) == 0) return absl::OkStatus();
    newest_us = newest.IntAt(1);
  }
  ORCH_RETURN_IF_ERROR(RaiseFloor(FromMicros(newest_us)));
  Statement forget = database_->Prepare(kForget);
  return bind(forget).Run();
}

}  // namespace orch::nodeagent
