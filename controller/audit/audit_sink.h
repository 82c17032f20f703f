// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "orch/v1/job.pb.h"

namespace orch::controller {

// Where the dispatcher's two audit records go; the gate writes the third kind, `decision`, itself.
//
// Thread-safe: called on the dispatcher's strand, answers from wherever it likes.
class AuditSink {
 public:
  virtual ~AuditSink() = default;
  // A mutating job's list is frozen; `count` of its nodes will be sent something. `done` comes
  // exactly once, from any thread: OK when the record is durable. An error refuses the job: nothing
  // is dispatched.
  virtual void PostFrozen(orch::v1::Job job, uint32_t count,
                          std::function<void(absl::Status)> done) = 0;
  // A job ended; its counts are the outcomes. Written as soon as may be, retried by the sink.
  virtual void PostJobEnd(orch::v1::Job job) = 0;
};

}  // namespace orch::controller
