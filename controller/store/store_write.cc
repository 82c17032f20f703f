// SPDX-License-Identifier: Apache-2.0

// StoreRows' writing half. What changes is written as a whole row under its key, so that writing
// the same state twice changes nothing. Events of all jobs stand in one table ordered by job and
// sequence number (EventId), which makes reading on after a number, and forgetting a job, a range
// of keys. A new job and its idempotency key are one transaction: with two a crash in between would
// let a repeated call start the job again.

#include "absl/strings/str_cat.h"
#include "api/change.h"
#include "api/names.h"
#include "api/wire_text.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "base/text.h"
#include "controller/job/states.h"
#include "controller/store/store_key.h"
#include "controller/store/store_rows.h"

namespace orch::controller {
namespace {

using base::Statement;

// Events of all jobs stand in one table ordered by job and sequence: EventId.
constexpr char kSchema1[] = R"(
CREATE TABLE jobs(
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  caller TEXT NOT NULL,
  state INTEGER NOT NULL,
  end_ms INTEGER,
  record BLOB NOT NULL,
  status BLOB NOT NULL);
CREATE INDEX jobs_unfinished ON jobs(key) WHERE end_ms IS NULL;
CREATE TABLE job_nodes(
  job INTEGER NOT NULL,
  node TEXT NOT NULL,
  position INTEGER NOT NULL,
  state INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  send_ms INTEGER,
  deadline_ms INTEGER,
  late_evidence TEXT,
  PRIMARY KEY(job, node)) WITHOUT ROWID;
CREATE TABLE events(id INTEGER PRIMARY KEY, event BLOB NOT NULL);
CREATE TABLE requests(
  request_id BLOB PRIMARY KEY,
  job INTEGER NOT NULL,
  record BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX requests_job ON requests(job);
CREATE TABLE idempotency(
  caller TEXT NOT NULL,
  key TEXT NOT NULL,
  body_digest BLOB NOT NULL,
  job_id TEXT NOT NULL,
  time_ms INTEGER NOT NULL,
  PRIMARY KEY(caller, key)) WITHOUT ROWID;
CREATE TABLE nodes(node TEXT PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE probes(id INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL);
)";

Statement& Time(Statement& statement, absl::Time time) {
  if (time == absl::InfinitePast() || time == absl::InfiniteFuture()) return statement.Null();
  return statement.Int(absl::ToUnixMillis(time));
}

}  // namespace

absl::StatusOr<std::unique_ptr<StoreRows>> StoreRows::Open(const std::string& path) {
  ORCH_ASSIGN_OR_RETURN(std::unique_ptr<base::Database> database,
                        base::Database::Open({.name = "store", .path = path}));
  std::unique_ptr<StoreRows> rows(new StoreRows(std::move(database)));
  ORCH_RETURN_IF_ERROR(rows->Migrate(path));
  return rows;
}

absl::Status StoreRows::Migrate(const std::string& path) {
  int64_t version = 0;
  {
    Statement query = database_->Prepare("PRAGMA user_version");
    ORCH_ASSIGN_OR_RETURN(const bool row, query.Next());
    if (row) version = query.IntAt(0);
  }
  if (version > kSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "store ", path, ": its schema has version ", version, ", this build knows versions up to ",
        kSchemaVersion, ": start the newer orch-controller that wrote it"));
  }
  if (version == kSchemaVersion) return absl::OkStatus();
  ORCH_RETURN_IF_ERROR(Begin());
  absl::Status status = database_->Execute(kSchema1);
  if (status.ok()) {
    status = database_->Execute(absl::StrCat("PRAGMA user_version=", kSchemaVersion).c_str());
  }
  if (status.ok()) return Commit();
  Rollback();
  return status;
}

absl::Status StoreRows::Apply(const StoreWrite& write, absl::Time now) {
  if (write.new_job.has_value()) ORCH_RETURN_IF_ERROR(InsertJob(*write.new_job, now));
  for (const auto& [job_id, request] : write.requests) {
    ORCH_RETURN_IF_ERROR(InsertRequest(job_id, request));
  }
  if (write.update.has_value()) ORCH_RETURN_IF_ERROR(ApplyUpdate(*write.update));
  for (const auto& [node, row] : write.nodes) {
    if (row.presence().empty()) {
      ORCH_RETURN_IF_ERROR(database_->Prepare("DELETE FROM nodes WHERE node=?").Text(node).Run());
      continue;
    }
    const std::string record = api::SerializeHealing(row);
    ORCH_RETURN_IF_ERROR(database_->Prepare("INSERT OR REPLACE INTO nodes VALUES(?,?)")
                             .Text(node)
                             .Blob(record)
                             .Run());
  }
  if (write.late.has_value()) return KeepLate(*write.late);
  return absl::OkStatus();
}

absl::Status StoreRows::Probe(absl::Time now) {
  return database_->Prepare("INSERT OR REPLACE INTO probes VALUES(1,?)")
      .Int(absl::ToUnixMillis(now))
      .Run();
}

absl::Status StoreRows::LimitPages(int64_t pages) {
  return database_->Execute(absl::StrCat("PRAGMA max_page_count=", pages).c_str());
}

absl::Status StoreRows::InsertJob(const NewJobRow& job, absl::Time now) {
  const std::string record = api::SerializeHealing(job.record);
  ORCH_RETURN_IF_ERROR(
      database_->Prepare("INSERT INTO jobs(id, caller, state, record, status) VALUES(?,?,?,?,?)")
          .Text(job.id)
          .Text(job.caller)
          .Int(job.record.job().state())
          .Blob(record)
          .Blob("")
          .Run());
  if (job.idempotency_key.empty()) return absl::OkStatus();
  return database_->Prepare("INSERT OR REPLACE INTO idempotency VALUES(?,?,?,?,?)")
      .Text(job.caller)
      .Text(job.idempotency_key)
      .Blob(job.body_digest)
      .Text(job.id)
      .Int(absl::ToUnixMillis(now))
      .Run();
}

absl::Status StoreRows::ApplyUpdate(const JobUpdate& update) {
  ORCH_ASSIGN_OR_RETURN(const int64_t key, KeyOf(update.id));
  const orch::v1::Job& job = update.status.job();
  const std::string status = api::SerializeHealing(update.status);
  {
    Statement set = database_->Prepare("UPDATE jobs SET state=?, end_ms=?, status=? WHERE key=?");
    set.Int(job.state());
    const bool ended = IsEnd(job.state());
    Time(set, ended ? ToTime(job.end_time()) : absl::InfiniteFuture());
    ORCH_RETURN_IF_ERROR(set.Blob(status).Int(key).Run());
  }
  for (const auto& event : update.changes.events) {
    const std::string bytes = api::SerializeHealing(*event);
    ORCH_RETURN_IF_ERROR(database_->Prepare("INSERT OR REPLACE INTO events VALUES(?,?)")
                             .Int(EventId(key, event->sequence()))
                             .Blob(bytes)
                             .Run());
  }
  for (const NodeChange& node : update.changes.nodes) {
    Statement put = database_->Prepare(
        "INSERT OR REPLACE INTO job_nodes(job, node, position, state, sequence, send_ms, "
        "deadline_ms, late_evidence) VALUES(?,?,?,?,?,?,?,?)");
    put.Int(key).Text(node.node).Int(node.position).Int(node.state);
    put.Int(static_cast<int64_t>(node.sequence));
    Time(put, node.send_time);
    Time(put, node.deadline);
    const std::string late = base::ToUtf8(node.late_evidence, 3 * node.late_evidence.size());
    late.empty() ? put.Null() : put.Text(late);
    ORCH_RETURN_IF_ERROR(put.Run());
  }
  return absl::OkStatus();
}

absl::Status StoreRows::InsertRequest(const std::string& job_id, const StoredRequest& request) {
  ORCH_ASSIGN_OR_RETURN(const int64_t key, KeyOf(job_id));
  const std::string record = api::SerializeHealing(request);
  return database_->Prepare("INSERT OR REPLACE INTO requests VALUES(?,?,?)")
      .Blob(request.request_id())
      .Int(key)
      .Blob(record)
      .Run();
}

absl::Status StoreRows::KeepLate(const LateRow& late) {
  StoredRequest request;
  {
    Statement query = database_->Prepare("SELECT record FROM requests WHERE request_id=?");
    query.Blob(late.request_id);
    ORCH_ASSIGN_OR_RETURN(const bool row, query.Next());
    if (!row) return absl::OkStatus();
    const absl::string_view record = query.BytesAt(0);
    if (!request.ParseFromArray(record.data(), static_cast<int>(record.size()))) {
      return absl::OkStatus();
    }
  }
  if (request.digest() != late.request_digest) return absl::OkStatus();
  const std::string evidence = base::ToUtf8(late.evidence, 3 * late.evidence.size());
  return database_
      ->Prepare(
          "UPDATE job_nodes SET late_evidence=? WHERE node=? AND state<>? AND "
          "job=(SELECT key FROM jobs WHERE id=?)")
      .Text(evidence)
      .Text(late.node)
      .Int(late.state)
      .Text(late.job_id)
      .Run();
}

absl::StatusOr<int64_t> StoreRows::KeyOf(const std::string& job_id) {
  Statement query = database_->Prepare("SELECT key FROM jobs WHERE id=?");
  query.Text(job_id);
  ORCH_ASSIGN_OR_RETURN(const bool row, query.Next());
  if (!row) return absl::NotFoundError(absl::StrCat(api::JobName(job_id), " is not in the store"));
  return query.IntAt(0);
}

absl::StatusOr<bool> StoreRows::Prune(uint64_t jobs_kept, absl::Time ended_before, int most,
                                      absl::Time now) {
  std::vector<int64_t> keys;
  {
    Statement query = database_->Prepare(
        "SELECT key FROM jobs WHERE end_ms IS NOT NULL AND (end_ms < ?1 OR key <= "
        "(SELECT key FROM jobs ORDER BY key DESC LIMIT 1 OFFSET ?2)) ORDER BY key LIMIT ?3");
    query.Int(absl::ToUnixMillis(ended_before)).Int(static_cast<int64_t>(jobs_kept)).Int(most);
    while (true) {
      ORCH_ASSIGN_OR_RETURN(const bool row, query.Next());
      if (!row) break;
      keys.push_back(query.IntAt(0));
    }
  }
  for (int64_t key : keys) {
    ORCH_RETURN_IF_ERROR(database_->Prepare("DELETE FROM events WHERE id>=? AND id<?")
                             .Int(EventId(key, 0))
                             .Int(EventId(key + 1, 0))
                             .Run());
    for (const char* sql : {"DELETE FROM job_nodes WHERE job=?", "DELETE FROM requests WHERE job=?",
                            "DELETE FROM jobs WHERE key=?"}) {
      ORCH_RETURN_IF_ERROR(database_->Prepare(sql).Int(key).Run());
    }
  }
  ORCH_RETURN_IF_ERROR(database_->Prepare("DELETE FROM idempotency WHERE time_ms<?")
                           .Int(absl::ToUnixMillis(now - kIdempotencyKept))
                           .Run());
  return static_cast<int>(keys.size()) == most;
}

namespace {

// A job that has ended, in the order in which ExpireDiffs looks at them.
struct EndedRow {
  int64_t end_ms = 0;
  int64_t key = 0;
  bool has_diffs = false;
};

// The next of them behind `last`, at most `most`, that ended before that time.
absl::StatusOr<std::vector<EndedRow>> EndedBehind(base::Database* database, const EndedRow& last,
                                                  absl::Time ended_before, int most) {
  Statement query = database->Prepare(
      "SELECT key, end_ms, record FROM jobs WHERE end_ms < ?1 AND "
      "(end_ms, key) > (?2, ?3) ORDER BY end_ms, key LIMIT ?4");
  query.Int(absl::ToUnixMillis(ended_before)).Int(last.end_ms).Int(last.key).Int(most);
  std::vector<EndedRow> rows;
  while (true) {
    ORCH_ASSIGN_OR_RETURN(const bool row, query.Next());
    if (!row) return rows;
    StoredJob record;
    const bool parsed = api::ParseHealing(query.BytesAt(2), &record) != api::Parsed::kBroken;
    const bool asked = record.job().spec().action().puppet_run().show_diff();
    rows.push_back({query.IntAt(1), query.IntAt(0), !parsed || asked});
  }
}

absl::Status ExpireDiffsOf(base::Database* database, int64_t key) {
  std::vector<std::pair<int64_t, std::string>> events;
  {
    Statement query = database->Prepare("SELECT id, event FROM events WHERE id>=? AND id<?");
    query.Int(EventId(key, 0)).Int(EventId(key + 1, 0));
    while (true) {
      ORCH_ASSIGN_OR_RETURN(const bool row, query.Next());
      if (!row) break;
      orch::v1::JobEvent event;
      if (api::ParseHealing(query.BytesAt(1), &event) == api::Parsed::kBroken) continue;
      if (!event.node().result().has_puppet_run()) continue;
      api::DropDiffs("expired", event.mutable_node()->mutable_result()->mutable_puppet_run());
      std::string bytes = event.SerializeAsString();
      if (bytes != query.BytesAt(1)) {
        events.emplace_back(query.IntAt(0), std::move(bytes));
      }
    }
  }
  for (const auto& [id, bytes] : events) {
    ORCH_RETURN_IF_ERROR(
        database->Prepare("UPDATE events SET event=? WHERE id=?").Blob(bytes).Int(id).Run());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<bool> StoreRows::ExpireDiffs(absl::Time ended_before, int most) {
  const EndedRow last{expired_end_ms_, expired_key_};
  ORCH_ASSIGN_OR_RETURN(const std::vector<EndedRow> rows,
                        EndedBehind(database_.get(), last, ended_before, most));
  for (const EndedRow& row : rows) {
    if (row.has_diffs) ORCH_RETURN_IF_ERROR(ExpireDiffsOf(database_.get(), row.key));
    expired_end_ms_ = row.end_ms;
    expired_key_ = row.key;
  }
  return static_cast<int>(rows.size()) == most;
}

}  // namespace orch::controller
