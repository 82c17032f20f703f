// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "api/names.h"
#include "base/plants.h"
#include "controller/job/rollout.h"
#include "controller/job/states.h"
#include "orch/bus/v1/reply.pb.h"
#include "orch/v1/job.pb.h"

// What a job is made of and what it leaves behind: plain values, and the limits. Pure.

namespace orch::controller {

// Nodes of one job; unexpected ones beyond it are not counted in.
inline constexpr size_t kJobNodesMax = 100'000;
// Progress events kept of one node, and of one job; further news is dropped, the outcome never.
inline constexpr uint32_t kProgressPerNodeMax = 200;
inline constexpr uint32_t kProgressPerJobMax = 100'000;
// Bytes of progress kept of one node; dropped likewise.
inline constexpr size_t kProgressBytesPerNodeMax = 256 << 10;
// How far a node's clock may be off: added to a request's expiry before silence is final.
inline constexpr absl::Duration kClockSkewMax = absl::Seconds(30);
// Read-only with nobody expected: over when it has been quiet for so long.
inline constexpr absl::Duration kQuietWindow = absl::Milliseconds(300);
// How often what is heard of a node after its outcome replaces what was kept.
inline constexpr uint32_t kLateMax = 5;
// While answers keep coming (none for kQuietWindow is quiet), a default answer timeout is stretched
// up to this many times: a busy fleet is not called dead.
inline constexpr int kAnswerStretchMax = 5;
// Nodes that a job names as not asked; further ones are only counted.
inline constexpr size_t kNotAskedMax = 1000;
// Bytes of a node's words that are kept.
inline constexpr size_t kNodeReasonMax = 128;
inline constexpr size_t kNodeMessageMax = 4096;

// Of a job that is taken up again nothing is overdue before its nodes could have said what they did
// meanwhile: so long after the bus came, and so long where it does not come or goes again.
inline constexpr absl::Duration kRestoredGrace = absl::Seconds(60);
inline constexpr absl::Duration kRestoredHoldMax = absl::Minutes(6);

using api::JobName;

// An outcome that came too late, in words; bounded.
std::string LateEvidence(const orch::bus::v1::Outcome& outcome, absl::Time heard);

// What a job is, constant from its start to its end. All of it is kept in the store:
// controller/store/job_record.h.
struct JobSetup {
  std::string id;  // ULID
  std::string caller;
  std::string controller;
  orch::v1::JobSpec spec;  // as everybody may see it: secrets cleared
  bool mutating = false;
  bool roster_known = false;  // read-only: who matches is known, as far as that can be; else nodes
                              // that nobody expects may be many, and are waited for
  bool nobody = false;        // read-only: an empty list of names: nobody is asked
  bool listing = false;       // read-only: who declines by the policy, and was not expected, is not
                              // told of
  absl::Time create_time;
  std::string traceparent;        // the caller's; empty: none
  absl::Duration answer_timeout;  // read-only
  bool strict_timeout = false;    // read-only: the caller's own, not to be stretched
  absl::Duration run_timeout;     // mutating: from acceptance to giving up
  RolloutPlan rollout;            // mutating
  std::string note;               // the job's message, as long as there is nothing better
  base::Plants plants;            // for test/sim alone
  // Nodes that match, were gone or stale and are not asked: the first kNotAskedMax, and how many
  // there are.
  google::protobuf::RepeatedPtrField<orch::v1::NotAskedNode> not_asked;
  uint32_t not_asked_count = 0;
  std::string limit_rule;  // the policy's rule that limits how many nodes may be under way;
                           // empty: none does
};

// A node at the start: to be asked, or ended already (it declined in the discovery, was silent,
// can't do it).
struct JobNodeStart {
  std::string node = {};
  orch::v1::NodeState state = orch::v1::NODE_STATE_PENDING;
  std::string reason = {};
  std::string message = {};
  absl::Time last_seen = absl::InfinitePast();
  bool unknown = false;  // it is named, but no node of this name is known
  bool gone = false;     // its agent was stopped
};

// What the store knows of a node of an unfinished job.
struct RestoredNode {
  std::string node = {};
  orch::v1::NodeState state = orch::v1::NODE_STATE_PENDING;
  absl::Time send_time = absl::InfinitePast();
  absl::Time accept_time = absl::InfinitePast();
  absl::Time start_time = absl::InfinitePast();
  absl::Time deadline = absl::InfiniteFuture();    // ACCEPTED, RUNNING
  absl::Time batch_expiry = absl::InfinitePast();  // of the request that names it, published or not
};

// A node's row in the store.
struct NodeChange {
  std::string node;
  uint32_t position = 0;  // in the order of the start
  orch::v1::NodeState state = orch::v1::NODE_STATE_PENDING;
  uint64_t sequence = 0;  // of the event that tells of it; 0: the first event
  absl::Time send_time = absl::InfinitePast();
  absl::Time deadline = absl::InfiniteFuture();
  std::string late_evidence;  // empty: unchanged
};

// How a node ended that a request was made for, for those who ration starts.
struct StartedNodeEnd {
  std::string node;
  orch::v1::NodeState outcome = orch::v1::NODE_STATE_UNSPECIFIED;
  // From its acceptance; nullopt: none was heard by this process.
  std::optional<absl::Duration> length = {};
  // Puppet's time to retrieve its catalog, where the result tells.
  std::optional<absl::Duration> retrieval = {};
};

}  // namespace orch::controller
