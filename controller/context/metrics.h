// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "base/telemetry/metrics_page.h"
#include "orch/v1/job.pb.h"
#include "trust/identity.h"

namespace orch::controller {

// The dispatcher's figures since its start, for `/metrics`. Plain values: copied out on the
// dispatcher's strand.
struct DispatcherMetrics {
  // Jobs.
  uint64_t jobs_created = 0, jobs_ended = 0, jobs_refused = 0, jobs_running = 0, jobs_adopted = 0;
  // Ended jobs by orch.v1.JobState.
  std::array<uint64_t, orch::v1::JobState_ARRAYSIZE> ends = {};
  // Nodes' outcomes in ended jobs, by orch.v1.NodeState, and Puppet's verdicts, by
  // orch.v1.PuppetRunVerdict.
  std::array<uint64_t, orch::v1::NodeState_ARRAYSIZE> outcomes = {};
  std::array<uint64_t, orch::v1::PuppetRunVerdict_ARRAYSIZE> verdicts = {};
  // From the gate's yes until the broker has a job's first request.
  base::LatencyHistogram dispatch;
  // From handing a request to the bus until a node's acceptance, and until its outcome: of what
  // only reads, and of what changes something.
  base::LatencyHistogram acceptance, answer, outcome;
  // Envelopes that arrived, by what became of them; `_busy` were dropped over kPendingRepliesMax.
  uint64_t replies_in = 0, replies_late = 0, replies_unknown = 0, replies_wrong_node = 0,
           replies_wrong_digest = 0, replies_malformed = 0, replies_busy = 0;
  uint64_t presences_in = 0, presences_old = 0, presences_malformed = 0;
  // Envelopes refused, by trust::Refusal.
  std::array<uint64_t, trust::kRefusals> refused = {};
  // What was signed and sent.
  uint64_t requests_signed = 0, messages_sent = 0, sends_failed = 0;
  // Messages that wait for the bus, and bytes that it has not confirmed.
  uint64_t messages_waiting = 0, bytes_unconfirmed = 0;
  // Store.
  uint64_t commits = 0, commits_failed = 0, store_ok = 1;
  // Roster.
  uint64_t nodes_present = 0, nodes_stale = 0, nodes_gone = 0, facts_known = 0;
};

}  // namespace orch::controller
