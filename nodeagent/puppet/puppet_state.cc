// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/puppet/puppet_state.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nodeagent/process/process.h"
#include "nodeagent/puppet/puppet_lock.h"
#include "nodeagent/puppet/puppet_summary.h"
#include "nodeagent/text/clean_text.h"
#include "nodeagent/text/plain_file.h"

namespace orch::nodeagent {
namespace {

constexpr size_t kPidFileMax = 64;
// A message in a lock that was not ours may be of any length.
constexpr size_t kDisableMessageMax = 1000;

bool DaemonPresent(const std::string& pidfile) {
  const absl::StatusOr<std::string> text = ReadPlainFile(pidfile, kPidFileMax);
  pid_t pid = 0;
  return text.ok() && absl::SimpleAtoi(absl::StripAsciiWhitespace(*text), &pid) && IsPuppet(pid);
}

}  // namespace

std::string AgeWords(absl::Duration age) {
  const int64_t s = std::max<int64_t>(0, absl::ToInt64Seconds(age));
  const int64_t days = s / 86400;
  const int64_t hours = s / 3600 % 24;
  const int64_t minutes = s / 60 % 60;
  std::string out;
  if (days > 0) absl::StrAppend(&out, days, days == 1 ? " day " : " days ");
  if (days > 0 || hours > 0) absl::StrAppend(&out, hours, hours == 1 ? " hour " : " hours ");
  if (s >= 60) absl::StrAppend(&out, minutes, minutes == 1 ? " minute " : " minutes ");
  absl::StrAppendFormat(&out, s >= 60 ? "%02d seconds" : "%d seconds", s % 60);
  return out;
}

orch::v1::PuppetStatusResult ReadPuppetState(const PuppetPaths* paths, absl::Time now) {
  orch::v1::PuppetStatusResult state;
  if (paths == nullptr) {
    state.set_status("unknown");
    state.set_message("Puppet's settings are not known yet");
    return state;
  }
  const std::optional<std::string> disabled = ReadDisabledLock(paths->agent_disabled_lockfile);
  state.set_enabled(!disabled.has_value());
  state.set_disable_message(CleanText(disabled.value_or(""), kDisableMessageMax));
  state.set_applying(FindRunLockHolder(paths->agent_catalog_run_lockfile).has_value());
  state.set_daemon_present(DaemonPresent(paths->pidfile));
  state.set_idling(state.daemon_present() && !state.applying());
  state.set_status(disabled.has_value() ? "disabled"
                   : state.applying()   ? "applying a catalog"
                   : state.idling()     ? "idling"
                                        : "stopped");
  const absl::StatusOr<PuppetSummary> summary = ReadPuppetSummary(paths->lastrunfile);
  std::string last;
  if (summary.ok()) {
    const absl::Duration age = std::max(absl::ZeroDuration(), now - summary->last_run);
    state.mutable_last_run()->set_seconds(absl::ToUnixSeconds(summary->last_run));
    state.mutable_since_last_run()->set_seconds(absl::ToInt64Seconds(age));
    last = absl::StrCat("last completed run ", AgeWords(age), " ago");
  } else if (summary.status().code() == absl::StatusCode::kNotFound) {
    last = "never completed a run";
  } else {
    last = "last completed run unknown";
  }
  state.set_message(absl::StrCat("Currently ", state.status(), "; ", last));
  return state;
}

}  // namespace orch::nodeagent
