// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/agent/cancels.h"

#include "base/log.h"
#include "nodeagent/agent/ladder.h"

namespace orch::nodeagent {

void Cancels::Load(const base::Clock* clock) {
  journal_->PostCancelled([this, clock, alive = std::weak_ptr<bool>(alive_)](
                              const absl::StatusOr<std::vector<CancelledJob>>& jobs) {
    if (alive.expired()) return;
    if (!jobs.ok()) {
      return base::LogError("read cancelled jobs", {{"error", jobs.status().ToString()}});
    }
    const absl::Time now = clock->Read().wall;
    for (const CancelledJob& job : *jobs) jobs_.Add(job.job_id, job.until, now);
  });
}

void Cancels::Add(const std::string& job_id, absl::Time issue_time, base::Now now) {
  // No request of the job that was issued before this can be valid longer.
  const absl::Time until = issue_time + kLifetimeMax + kFutureMax;
  if (jobs_.Add(job_id, until, now.wall) == ReplayWindow::Added::kFull) {
    base::LogWarning("too many cancelled jobs to remember", {{"job_id", job_id}});
  }
  journal_->PostCancel(job_id, until, [job_id](const absl::Status& status) {
    if (status.ok()) return;
    base::LogError("keep a cancel", {{"job_id", job_id}, {"error", status.ToString()}});
  });
}

}  // namespace orch::nodeagent
