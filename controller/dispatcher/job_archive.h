// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "controller/context/dispatcher_api.h"
#include "controller/store/store.h"

namespace orch::controller {

// NotFound JOB_NOT_FOUND: the same whether there is none or it may not be seen.
absl::Status NoSuchJob(const std::string& id);

// What the store tells of jobs, ended or not, to those who may see them. It answers with what is
// durable, and with NoSuchJob for what is not there and for what is hidden alike. Differences of
// files are told of until `diffs_kept_for` after the end of their job.
//
// Lives on: the dispatcher's strand; reads run on the store's thread.
class JobArchive {
 public:
  template <typename T>
  using Callback = DispatcherApi::Callback<T>;

  JobArchive(Store* store, const base::Clock* clock, absl::Duration diffs_kept_for)
      : store_(store), clock_(clock), diffs_kept_for_(diffs_kept_for) {}

  void GetJob(const std::string& id, JobVisibility viewer, Callback<orch::v1::Job> done);
  // InvalidArgument: not a page token that was given.
  void ListJobs(JobsQuery asked, JobVisibility viewer, Callback<JobPage> done);
  void ListJobNodes(JobNodesQuery asked, JobVisibility viewer, Callback<JobNodePage> done);
  // Part of an ended job's log. OutOfRange: beyond its end.
  void ReadLog(std::string id, JobVisibility viewer, uint64_t after_sequence, size_t bytes_max,
               Callback<JobLogPart> done);

 private:
  Store* const store_;
  const base::Clock* const clock_;
  const absl::Duration diffs_kept_for_;
};

}  // namespace orch::controller
