// SPDX-License-Identifier: Apache-2.0
#include "base/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/text.h"

namespace orch::base {
namespace {

// How much of a statement an error repeats.
constexpr size_t kSqlShownMax = 40;

// SQLite takes a null pointer for NULL, also where the text is empty.
const char* DataOf(absl::string_view value) { return value.data() == nullptr ? "" : value.data(); }

}  // namespace

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
  return Note(sqlite3_bind_text64(statement_, ++bound_, DataOf(value), value.size(), SQLITE_STATIC,
                                  SQLITE_UTF8));
}

Statement& Statement::Blob(absl::string_view value) {
  return Note(
      sqlite3_bind_blob64(statement_, ++bound_, DataOf(value), value.size(), SQLITE_STATIC));
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

absl::StatusOr<std::unique_ptr<Database>> Database::Open(DatabaseOptions options) {
  // Made here so that nobody else can read it; SQLite gives its log the same mode.
  const int fd = open(options.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(options.name, " ", options.path, ": open"));
  }
  close(fd);
  std::unique_ptr<Database> database(new Database(std::move(options)));
  const int code = sqlite3_open_v2(database->options_.path.c_str(), &database->handle_,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) return database->ErrorOf(code, "open");
  ORCH_RETURN_IF_ERROR(database->Configure());
  return database;
}

absl::Status Database::Configure() {
  sqlite3_extended_result_codes(handle_, 1);
  sqlite3_busy_timeout(handle_, static_cast<int>(options_.busy_timeout / absl::Milliseconds(1)));
  const std::string pragmas =
      absl::StrCat(options_.exclusive ? "PRAGMA locking_mode=EXCLUSIVE;" : "",
                   "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;",
                   "PRAGMA cache_size=-", options_.cache_kib,
                   "; PRAGMA journal_size_limit=", options_.log_bytes);
  return Execute(pragmas.c_str());
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

int64_t Database::Changes() const { return sqlite3_changes64(handle_); }

absl::Status Database::Begin() { return Execute("BEGIN IMMEDIATE"); }

absl::Status Database::Commit() { return Execute("COMMIT"); }

void Database::Rollback() {
  if (sqlite3_get_autocommit(handle_) == 0) Execute("ROLLBACK").IgnoreError();
}

absl::Status Database::ErrorOf(int code, absl::string_view what) const {
  const std::string text =
      absl::StrCat(options_.name, " ", options_.path, ": ", CutUtf8(what, kSqlShownMax), ": ",
                   handle_ == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(handle_));
  switch (code & 0xff) {  // the rest says more of the same
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(text);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return absl::DataLossError(text);
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return absl::PermissionDeniedError(text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(absl::StrCat(text, " (another process holds it)"));
    default:
      return absl::UnavailableError(text);
  }
}

}  // namespace orch::base
