// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "controller/job/answer_wait.h"
#include "controller/job/job_values.h"
#include "controller/job/node_table.h"
#include "controller/job/rollout.h"
#include "orch/bus/v1/reply.pb.h"
#include "orch/v1/job.pb.h"

namespace orch::controller {

// One fleet-wide request: which nodes are asked, what each answered, and the events that API
// clients read.
//
// A mutating job has a fixed list, starts its nodes as the rollout allows, and follows each to its
// outcome. A read-only job asks all at once and is over when every expected node has answered.
// Every node ends in exactly one outcome, the counts sum to the targets, the events' numbers have
// no gaps.
//
// Pure: no sockets, no clock, no threads; `now` is always an argument. After any input: take the
// starts (mutating), take the changes to the store, ask for the next deadline. Lives on: the
// dispatcher's strand.
class Job {
 public:
  // `maybe` (read-only): nodes that the roster can't tell about; waited for, but no targets unless
  // they answer. Without nodes and maybes, or without a roster, a read-only job waits until it is
  // quiet; a mutating one without nodes fails at once: nothing matched.
  Job(JobSetup setup, std::vector<JobNodeStart> nodes, std::vector<std::string> maybe,
      base::Now now);
  // Goes on where the store left off. `status` as Snapshot gave it.
  static std::unique_ptr<Job> Restore(JobSetup setup, const orch::v1::Job& status, bool cancelled,
                                      std::vector<RestoredNode> nodes, base::Now now);

  // Asked before a node is started; false: not now, and nobody else of this job either.
  using MayStart = std::function<bool(const std::string& node)>;
  // Mutating: at most `most` nodes that go now. They are claimed: a request is being made for them.
  std::vector<std::string> TakeStarts(size_t most, const MayStart& may_start, base::Now now);
  std::vector<std::string> TakeStarts(size_t most, base::Now now) {
    return TakeStarts(most, nullptr, now);
  }
  // The request for claimed nodes is about to be handed to the bus; gives those that are still
  // wanted, which from here on count as asked: silent until `expiry` + kClockSkewMax, they end as
  // NO_RESPONSE.
  std::vector<std::string> OnPublishing(const std::vector<std::string>& nodes, absl::Time expiry,
                                        base::Now now);
  // The request for claimed nodes could not be made: they never start.
  void OnUnpublishable(const std::vector<std::string>& nodes, const std::string& why,
                       base::Now now);
  // The broker has the node's request.
  void OnSent(const std::string& node, base::Now now);
  // Read-only: the broadcast is on its way; the answer timeout counts from here.
  // `unconfirmed`: why the broker has not confirmed that it has it; empty: it has.
  void OnBroadcast(base::Now now, const std::string& unconfirmed = "");
  // Nodes that wait for their start won't get it: the bus has been away for too long.
  void GiveUpWaiting(const std::string& why, base::Now now);

  enum class Applied {
    kChanged,
    kDuplicate,    // said before, or older than what is known
    kLate,         // kept beside the outcome
    kUnknownNode,  // not a node of this job
    kMalformed,    // says nothing that can be understood
  };
  // A verified reply to a request of this job that was meant for this node.
  Applied Apply(const orch::bus::v1::Reply& reply, base::Now now);
  // The bus came or went. Matters to a job that was taken up again: nobody is judged unheard.
  void OnBus(bool connected, base::Now now);
  // Whatever is due.
  void OnTime(base::Now now);

  // Ending an ended or ending job changes nothing.
  void Cancel(const std::string& caller, const std::string& reason, base::Now now);
  // Starts nobody any more, as if by its limits; `why` becomes `stopped: …`.
  void Stop(const std::string& why, base::Now now);
  // FailedPrecondition: not running; not paused.
  absl::Status Pause(const std::string& caller, base::Now now);
  absl::Status Resume(const std::string& caller, base::Now now);

  // When OnTime, or for a batch's sleep TakeStarts, is to be called at the latest; steady.
  std::optional<absl::Duration> NextDeadline() const;
  orch::v1::JobState state() const { return state_; }
  bool ended() const { return IsEnd(state_); }
  bool cancelled() const { return cancelled_; }
  const JobSetup& setup() const { return setup_; }
  uint64_t last_sequence() const { return last_sequence_; }
  // The job as of now; without its spec where that is not needed.
  orch::v1::Job Snapshot(bool with_spec) const;
  const NodeTable& nodes() const { return nodes_; }
  uint32_t waiting() const { return static_cast<uint32_t>(waiting_.size()); }
  uint64_t progress_dropped() const { return progress_.dropped(); }

  struct Changes {
    std::vector<std::shared_ptr<const orch::v1::JobEvent>> events;
    std::vector<NodeChange> nodes;
    std::vector<StartedNodeEnd> ends;  // of nodes that TakeStarts gave
    bool empty() const { return events.empty() && nodes.empty(); }
  };
  // What is new since the last time.
  Changes TakeChanges(base::Now now);

 private:
  struct Restoring {};
  Job(JobSetup setup, Restoring) : setup_(std::move(setup)), window_(setup_.rollout) {}

  orch::v1::JobEvent* Append(base::Now now);
  orch::v1::JobNode* AppendNode(NodeEntry* entry, orch::v1::NodeState to, base::Now now);
  orch::v1::JobNode* End(NodeEntry* entry, orch::v1::NodeState outcome, const std::string& reason,
                         const std::string& message, base::Now now);
  void OnOverdue(NodeEntry* entry, base::Now now);
  void OnAnswerTimeout(base::Now now);
  void BeginStop(const std::string& caller, const std::string& message, base::Now now);
  // The only one that changes state_; asserts that the change is legal.
  void Enter(orch::v1::JobState to);
  // Only callers pause jobs.
  orch::v1::PauseReason pause_reason() const {
    return state_ == orch::v1::JOB_STATE_PAUSED ? orch::v1::PAUSE_REASON_CALLER
                                                : orch::v1::PAUSE_REASON_UNSPECIFIED;
  }
  void ChangeState(orch::v1::JobState to, const std::string& caller, const std::string& message,
                   base::Now now);
  // The entry of a node that speaks; null: it is none of this job's, and is not counted in.
  NodeEntry* EntryOf(const orch::bus::v1::Reply& reply);
  void Settle(base::Now now);
  void Finish(base::Now now);

  Applied ApplyAccepted(NodeEntry* entry, base::Now now);
  Applied ApplyProgress(NodeEntry* entry, const orch::bus::v1::Reply& reply, base::Now now);
  Applied ApplyOutcome(NodeEntry* entry, const orch::bus::v1::Reply& reply, base::Now now);
  Applied ApplyUnknown(NodeEntry* entry, bool never_started, base::Now now);
  Applied KeepLate(NodeEntry* entry, std::string evidence);

  const JobSetup setup_;
  RolloutWindow window_;
  orch::v1::JobState state_ = orch::v1::JOB_STATE_RUNNING;
  bool cancelled_ = false;
  std::string message_;
  absl::Time start_time_ = absl::InfiniteFuture();  // the first node was asked
  absl::Time end_time_ = absl::InfinitePast();
  uint64_t last_sequence_ = 0;

  NodeTable nodes_;
  AnswerWait answers_;
  std::deque<NodeEntry*> waiting_;
  std::array<uint32_t, orch::v1::PuppetRunVerdict_ARRAYSIZE> verdicts_{};
  absl::Time broadcast_time_ = absl::InfinitePast();  // read-only
  std::string unconfirmed_;                           // read-only: see OnBroadcast
  // Of a job that was taken up again: nothing is overdue before; where the bus is away,
  // before hold_max_.
  absl::Duration judge_from_ = -absl::InfiniteDuration();
  absl::Duration hold_max_ = -absl::InfiniteDuration();
  ProgressBudget progress_;

  Changes changes_;
};

}  // namespace orch::controller
