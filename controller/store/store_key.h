// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace orch::controller {

// The id of an event's row is the job's key and the event's sequence number, which has this many
// bits. So the events of a job stand together and in order.
inline constexpr int kSequenceBits = 24;

inline int64_t EventId(int64_t job_key, uint64_t sequence) {
  return (job_key << kSequenceBits) + static_cast<int64_t>(sequence);
}

}  // namespace orch::controller
