// SPDX-License-Identifier: Apache-2.0
#include "target/known_calls.h"

#include <algorithm>
#include <initializer_list>

#include "absl/strings/str_cat.h"

namespace orch::target {
namespace {

using Names = std::initializer_list<absl::string_view>;

constexpr Names kPuppet = {"applying", "daemon_present", "disable_message", "enabled",
                           "idling",   "message",        "status"};
constexpr Names kLastRun = {"changed_resources",
                            "config_retrieval_time",
                            "config_version",
                            "corrective_resources",
                            "environment",
                            "failed_resources",
                            "failed_to_restart_resources",
                            "last_run",
                            "lastrun",
                            "out_of_sync_resources",
                            "restarted_resources",
                            "since_last_run",
                            "since_lastrun",
                            "skipped_resources",
                            "total_resources",
                            "total_time"};
constexpr Names kFstat = {
    "age",    "atime_age", "atime_seconds", "ctime_age", "ctime_seconds", "gid",
    "md5",    "mode",      "mtime",         "mtime_age", "mtime_seconds", "name",
    "output", "present",   "sha256",        "size",      "type",          "uid"};

bool Has(const Names& names, absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

absl::Status CheckCall(const Call& call) {
  bool known = false;
  if (call.name == "puppet") {
    known = Has(kPuppet, call.field) || Has(kLastRun, call.field);
  } else if (call.name == "resource") {
    known = call.field == "managed" || Has(kLastRun, call.field);
  } else if (call.name == "fstat") {
    known = Has(kFstat, call.field);
  } else {
    return absl::NotFoundError(absl::StrCat("no node knows ", call.name, "()"));
  }
  if (known) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat(call.name, "() has no field `", call.field, "`"));
}

}  // namespace orch::target
