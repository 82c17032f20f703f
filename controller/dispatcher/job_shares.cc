// SPDX-License-Identifier: Apache-2.0
#include "controller/dispatcher/job_shares.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "api/errors.h"

namespace orch::controller {
namespace {

absl::Status Exhausted(const char* reason, const std::string& why) {
  return api::WithRetry(api::Error(absl::StatusCode::kResourceExhausted, reason, why),
                        absl::Seconds(1));
}

absl::Status CheckNames(const NamesHeld& wanted, const std::string& caller, const JobsHeld& held) {
  if (wanted.names == 0) return absl::OkStatus();
  const auto fits = [&wanted](const NamesHeld& taken, size_t names_max, size_t bytes_max) {
    return taken.names + wanted.names <= names_max && taken.bytes + wanted.bytes <= bytes_max;
  };
  if (!fits(held.own_names, kCallerNamesMax, kCallerNameBytesMax)) {
    return Exhausted("TOO_MANY_NAMES",
                     absl::StrCat("jobs of ", caller, " that run hold ", held.own_names.names,
                                  " names already; one caller may have ", kCallerNamesMax, " and ",
                                  kCallerNameBytesMax >> 20, " MiB of them at a time"));
  }
  if (!fits(held.names, kNamesHeldMax, kNameBytesHeldMax)) {
    return Exhausted("TOO_MANY_NAMES",
                     absl::StrCat("jobs that run hold ", held.names.names, " names already"));
  }
  return absl::OkStatus();
}

}  // namespace

void JobsHeld::Add(const NamesHeld& names_of_one, bool own) {
  ++jobs;
  names.names += names_of_one.names;
  names.bytes += names_of_one.bytes;
  if (!own) return;
  ++own_jobs;
  own_names.names += names_of_one.names;
  own_names.bytes += names_of_one.bytes;
}

absl::Status CheckShare(const NamesHeld& wanted, bool mutating, const std::string& caller,
                        const JobsHeld& held, size_t most) {
  const auto refuse = [](const std::string& why) { return Exhausted("TOO_MANY_JOBS", why); };
  if (held.jobs >= most) return refuse(absl::StrCat(most, " jobs run already"));
  // Questions leave some room: a fleet that is being asked can still be changed.
  const size_t kept = most / kChangesShare;
  if (held.jobs >= most - kept && !mutating) {
    return refuse(absl::StrCat(most - kept, " jobs run already; the last ", kept,
                               " places are kept for jobs that change something"));
  }
  const size_t share = std::max(kCallerJobsMin, most / kCallerShare);
  if (held.own_jobs >= share) {
    return refuse(absl::StrCat(held.own_jobs, " jobs of ", caller,
                               " run already; one caller may have ", share));
  }
  return CheckNames(wanted, caller, held);
}

}  // namespace orch::controller
