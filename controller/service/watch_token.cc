// SPDX-License-Identifier: Apache-2.0
#include "controller/service/watch_token.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "api/errors.h"

namespace orch::controller {

std::string TokenOf(const WatchCursor& cursor) {
  return absl::StrCat(absl::Hex(cursor.process), "-", absl::Hex(cursor.revision));
}

absl::StatusOr<WatchCursor> CursorOf(absl::string_view field, absl::string_view token) {
  WatchCursor cursor;
  if (token.empty()) return cursor;
  const size_t dash = token.find('-');
  if (dash == absl::string_view::npos ||
      !absl::SimpleHexAtoi(token.substr(0, dash), &cursor.process) ||
      !absl::SimpleHexAtoi(token.substr(dash + 1), &cursor.revision) || cursor.process == 0) {
    return api::BadField(field, "is not one that was given");
  }
  return cursor;
}

}  // namespace orch::controller
