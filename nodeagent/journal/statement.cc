// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/journal/statement.h"

#include "absl/strings/str_cat.h"

namespace orch::nodeagent {

absl::Status ErrorOf(sqlite3* db, absl::string_view what) {
  const int code = sqlite3_errcode(db);
  const std::string text = absl::StrCat("journal: ", what, ": ", sqlite3_errmsg(db));
  switch (code) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(absl::StrCat(text, " (does another node agent use it?)"));
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::InternalError(text);
  }
}

absl::Status Execute(sqlite3* db, const char* sql, absl::string_view what) {
  if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return ErrorOf(db, what);
  return absl::OkStatus();
}

}  // namespace orch::nodeagent
