// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;

// The little of SQLite's C interface that the controller's store and the node's journal need, with
// errors as statuses that say which file: `store /var/lib/orch/orch.db: INSERT INTO events …:
// database or disk is full`. A commit is durable when it returns: WAL with synchronous=FULL.
//
// DataLoss: the file is damaged or none of SQLite's. Unavailable: somebody else holds it, or the
// disk fails. ResourceExhausted: the disk is full. PermissionDenied: the file may not be opened or
// written. Everything blocks. Not thread-safe: a database and its statements live on one thread.

namespace orch::base {

class Database;

// A prepared statement in use; back in the database's cache, reset, when it goes out of scope.
class Statement {
 public:
  // Database::Prepare makes it. `broken`: it could not be prepared; Run and Next say why.
  Statement(Database* database, sqlite3_stmt* statement, absl::Status broken)
      : database_(database), statement_(statement), broken_(std::move(broken)) {}
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Parameters in order; the bytes must live until Run or the last Next.
  Statement& Int(int64_t value);
  Statement& Text(absl::string_view value);
  Statement& Blob(absl::string_view value);
  Statement& Null();

  // For statements without rows, or whose one row is always there.
  absl::Status Run();
  // True: there is a row. False: no more.
  absl::StatusOr<bool> Next();
  // Of the row; 0 or nothing where it is NULL. Columns count from 0.
  int64_t IntAt(int column) const;
  // Text or blob; valid until the next Next.
  absl::string_view BytesAt(int column) const;

 private:
  Statement& Note(int code);

  Database* const database_;
  sqlite3_stmt* const statement_;
  absl::Status broken_;
  int bound_ = 0;
};

struct DatabaseOptions {
  std::string name;  // what it is to us, first word of each error: `store`
  std::string path;
  // No second process may hold it, not even to read; it is locked by the first transaction.
  bool exclusive = false;
  int cache_kib = 16'000;
  // What the write-ahead log shrinks to when it has been copied home.
  int64_t log_bytes = 64 << 20;
  // How long a statement waits for another process.
  absl::Duration busy_timeout = absl::Seconds(5);
};

class Database {
 public:
  // Opens or creates it. The file's mode is 0600, also its log's.
  static absl::StatusOr<std::unique_ptr<Database>> Open(DatabaseOptions options);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Several statements, without parameters or rows.
  absl::Status Execute(const char* sql);
  // `sql` is a literal: prepared once, kept by its address. A statement is used by one at a time.
  Statement Prepare(const char* sql);
  // How many rows the last statement changed.
  int64_t Changes() const;

  // One transaction at a time; it holds the write lock from its beginning. See Transaction.
  absl::Status Begin();
  absl::Status Commit();
  // Nothing to do where none is open: SQLite ends some itself, for example when the disk is full.
  void Rollback();

 private:
  friend class Statement;
  explicit Database(DatabaseOptions options) : options_(std::move(options)) {}
  absl::Status Configure();
  absl::Status ErrorOf(int code, absl::string_view what) const;

  const DatabaseOptions options_;
  sqlite3* handle_ = nullptr;
  absl::flat_hash_map<const char*, sqlite3_stmt*> statements_;
};

// What happened since Begin is undone when it goes out of scope without a Commit.
class Transaction {
 public:
  explicit Transaction(Database* database) : database_(database) {}
  ~Transaction() { database_->Rollback(); }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  absl::Status Begin() { return database_->Begin(); }
  absl::Status Commit() { return database_->Commit(); }

 private:
  Database* const database_;
};

}  // namespace orch::base
