// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;

// The little of SQLite's C interface that the store needs, with errors as statuses:
// `store /var/lib/orch/orch.db: INSERT INTO events …: database or disk is full`. Blocking; not
// thread-safe.

namespace orch::controller {

class Database;

// A prepared statement in use. When it goes out of scope it is reset and returned to the database's
// cache.
class Statement {
 public:
  // `broken`: it could not be prepared; Run and Next say why.
  Statement(Database* database, sqlite3_stmt* statement, absl::Status broken)
      : database_(database), statement_(statement), broken_(std::move(broken)) {}
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Bind the parameters in their order. The bytes must live until Run or the last Next.
  Statement& Int(int64_t value);
  Statement& Text(absl::string_view value);
  Statement& Blob(absl::string_view value);
  Statement& Null();

  // Runs a statement that gives no rows.
  absl::Status Run();
  // True: there is a row. False: there are no more.
  absl::StatusOr<bool> Next();
  int64_t IntAt(int column) const;
  // The bytes of a text or a blob; valid until the next call of Next.
  absl::string_view BytesAt(int column) const;

 private:
  Statement& Note(int code);

  Database* database_;
  sqlite3_stmt* statement_;
  absl::Status broken_;
  int bound_ = 0;
};

class Database {
 public:
  // Opens the file or creates it with mode 0600. Commits are durable (WAL, synchronous=FULL).
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Runs any number of statements that take no parameters and give no rows.
  absl::Status Execute(const char* sql);
  // Prepares a statement, once for each `sql`, which must be a literal because its address is the
  // key. A statement may be in use only once at a time.
  Statement Prepare(const char* sql);
  absl::Status ErrorOf(int code, absl::string_view what) const;

 private:
  explicit Database(std::string path) : path_(std::move(path)) {}
  absl::Status Configure();

  const std::string path_;
  sqlite3* handle_ = nullptr;
  absl::flat_hash_map<const char*, sqlite3_stmt*> statements_;
};

}  // namespace orch::controller
