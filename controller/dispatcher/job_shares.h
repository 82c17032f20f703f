// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "controller/run/job_run.h"
#include "orch/v1/job.pb.h"

// What jobs may take up at once, as shares: no caller can fill what others need. Pure.

namespace orch::controller {

// One caller may have this part of `jobs.running_max` at a time, but at least so many; another part
// is kept for jobs that change something.
inline constexpr size_t kCallerShare = 4;
inline constexpr size_t kCallerJobsMin = 8;
inline constexpr size_t kChangesShare = 10;
// Exact names in the jobs that run, of all callers and of one, and the bytes that they take.
inline constexpr size_t kNamesHeldMax = 400'000;
inline constexpr size_t kCallerNamesMax = 100'000;
inline constexpr size_t kNameBytesHeldMax = 32 << 20;
inline constexpr size_t kCallerNameBytesMax = 8 << 20;

// What all jobs hold, and what one caller's do.
struct JobsHeld {
  size_t jobs = 0, own_jobs = 0;
  NamesHeld names, own_names;
  void Add(const NamesHeld& names_of_one, bool own);
};

// Whether one more job fits: ResourceExhausted TOO_MANY_JOBS or TOO_MANY_NAMES with RetryInfo,
// which says whose share is used up. `most` is `jobs.running_max`.
absl::Status CheckShare(const NamesHeld& wanted, bool mutating, const std::string& caller,
                        const JobsHeld& held, size_t most);

}  // namespace orch::controller
