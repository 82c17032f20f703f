// SPDX-License-Identifier: Apache-2.0
#include "controller/store/database.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace orch::controller {

Statement::~Statement() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

Statement& Statement::Note(int code) {
  if (code != SQLITE_OK && broken_.ok()) broken_ = database_->ErrorOf(code, "bind");
  return *this;
}

Statement& Statement::Int(int64_t value) {
  return Note(sqlite3_bind_int64(statement_, ++bound_, value));
}

Statement& Statement::Text(absl::string_view value) {
  return Note(sqlite3_bind_text64(statement_, ++bound_, value.data() == nullptr ? "" : value.data(),
                                  value.size(), SQLITE_STATIC, SQLITE_UTF8));
}

Statement& Statement::Blob(absl::string_view value) {
  return Note(sqlite3_bind_blob64(statement_, ++bound_, value.data() == nullptr ? "" : value.data(),
                                  value.size(), SQLITE_STATIC));
}

Statement& Statement::Null() { return Note(sqlite3_bind_null(statement_, ++bound_)); }

absl::Status Statement::Run() { return Next().status(); }

absl::StatusOr<bool> Statement::Next() {
  ORCH_RETURN_IF_ERROR(broken_);
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return database_->ErrorOf(code, sqlite3_sql(statement_));
}

int64_t Statement::IntAt(int column) const { return sqlite3_column_int64(statement_, column); }

absl::string_view Statement::BytesAt(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes),
          static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  std::unique_ptr<Database> database(new Database(path));
  const mode_t mask = umask(0077);
  const int code =
      sqlite3_open_v2(path.c_str(), &database->handle_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  absl::Status status = code == SQLITE_OK ? database->Configure() : database->ErrorOf(code, "open");
  umask(mask);
  ORCH_RETURN_IF_ERROR(status);
  return database;
}

absl::Status Database::Configure() {
  sqlite3_extended_result_codes(handle_, 1);
  sqlite3_busy_timeout(handle_, 5000);
  return Execute(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;"
      "PRAGMA cache_size=-16000; PRAGMA journal_size_limit=67108864;");
}

Database::~Database() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

absl::Status Database::Execute(const char* sql) {
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : ErrorOf(code, sql);
}

Statement Database::Prepare(const char* sql) {
  sqlite3_stmt*& statement = statements_[sql];
  absl::Status broken;
  if (statement == nullptr) {
    const int code =
        sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) broken = ErrorOf(code, sql);
  }
  return Statement(this, statement, std::move(broken));
}

absl::Status Database::ErrorOf(int code, absl::string_view what) const {
  const std::string text =
      absl::StrCat("store ", path_, ": ", what.substr(0, 40), ": ",
                   handle_ == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(handle_));
  switch (code & 0xff) {
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(text);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return absl::DataLossError(text);
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return absl::PermissionDeniedError(text);
    default:
      return absl::UnavailableError(text);
  }
}

}  // namespace orch::controller
