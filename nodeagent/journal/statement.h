// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sqlite3.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace orch::nodeagent {

// SQLite's last error on `db` as a status; `what` is what was attempted. DataLoss: the file is
// damaged or no database of SQLite. Unavailable: another process holds it. ResourceExhausted: the
// disk is full. Internal: anything else.
absl::Status ErrorOf(sqlite3* db, absl::string_view what);

// Runs statements that take no values and give no rows.
absl::Status Execute(sqlite3* db, const char* sql, absl::string_view what);

// One prepared statement with its values, for one use. Values are bound in order and must outlive
// the last Step. A statement that could not be prepared fails at Step.
class Statement {
 public:
  Statement(sqlite3* db, const std::string& sql) : db_(db), sql_(sql) {
    sqlite3_prepare_v2(db, sql.c_str(), -1, &statement_, nullptr);
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& Text(const std::string& value) {
    sqlite3_bind_text(statement_, ++bound_, value.data(), value.size(), SQLITE_STATIC);
    return *this;
  }
  Statement& Blob(const std::string& value) {
    sqlite3_bind_blob(statement_, ++bound_, value.data(), value.size(), SQLITE_STATIC);
    return *this;
  }
  Statement& Integer(int64_t value) {
    sqlite3_bind_int64(statement_, ++bound_, value);
    return *this;
  }
  // True: there is a row to read. False: there are no more.
  absl::StatusOr<bool> Step() {
    if (statement_ == nullptr) return ErrorOf(db_, sql_);
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return ErrorOf(db_, sql_);
  }
  absl::Status Run() { return Step().status(); }
  int64_t IntegerAt(int column) const { return sqlite3_column_int64(statement_, column); }
  std::string BytesAt(int column) const {
    const void* data = sqlite3_column_blob(statement_, column);
    if (data == nullptr) return "";
    return std::string(static_cast<const char*>(data), sqlite3_column_bytes(statement_, column));
  }

 private:
  sqlite3* const db_;
  const std::string sql_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

}  // namespace orch::nodeagent
