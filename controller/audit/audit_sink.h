// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "orch/v1/job.pb.h"

namespace orch::controller {

// Where the dispatcher sends its two kinds of audit record: `frozen` and `job_end`. The gate writes
// the third kind, `decision`, by itself.
//
// Called on the dispatcher's strand; answers may come from any thread.
class AuditSink {
 public:
  virtual ~AuditSink() = default;
  // Records that a mutating job's list is frozen and that `count` of its nodes will be sent
  // something. `done` is called exactly once, from any thread: with OK when the record is durable;
  // with an error the job is refused and nothing is sent.
  virtual void PostFrozen(orch::v1::Job job, uint32_t count,
                          std::function<void(absl::Status)> done) = 0;
  // Records that a job ended, with the counts of its outcomes. The sink writes it as soon as it
  // can, and tries again if that fails.
  virtual void PostJobEnd(orch::v1::Job job) = 0;
};

}  // namespace orch::controller
