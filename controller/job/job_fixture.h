// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "controller/job/job.h"

namespace orch::controller {

// A job, a clock that the test moves, and nodes' words in short.
class JobTest : public ::testing::Test {
 protected:
  JobSetup ReadOnly() {
    JobSetup setup;
    setup.id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    setup.caller = "cert=operator";
    setup.controller = "c1";
    setup.spec.mutable_action()->mutable_node_ping();
    setup.create_time = clock_.Read().wall;
    setup.answer_timeout = absl::Seconds(2);
    setup.roster_known = true;
    return setup;
  }
  JobSetup WithoutRoster() {
    JobSetup setup = ReadOnly();
    setup.roster_known = false;
    return setup;
  }
  JobSetup Mutating(RolloutPlan plan = {}) {
    JobSetup setup = ReadOnly();
    setup.spec.mutable_action()->mutable_puppet_run();
    setup.mutating = true;
    setup.run_timeout = absl::Minutes(10);
    setup.rollout = plan;
    return setup;
  }
  void Make(JobSetup setup, std::vector<JobNodeStart> nodes, std::vector<std::string> maybe = {}) {
    job_ = std::make_unique<Job>(std::move(setup), std::move(nodes), std::move(maybe), now());
  }
  base::Now now() const { return clock_.Read(); }
  // Starts what may start and lets the bus have it.
  std::vector<std::string> Start() {
    auto names =
        job_->OnPublishing(job_->TakeStarts(500, now()), now().wall + absl::Seconds(60), now());
    for (const std::string& name : names) job_->OnSent(name, now());
    return names;
  }
  orch::bus::v1::Reply Make(const std::string& node, uint64_t sequence = 1) {
    orch::bus::v1::Reply reply;
    reply.set_node(node);
    reply.set_sequence(sequence);
    return reply;
  }
  Job::Applied Accept(const std::string& node) {
    orch::bus::v1::Reply reply = Make(node);
    reply.mutable_accepted();
    return job_->Apply(reply, now());
  }
  Job::Applied Progress(const std::string& node, uint64_t sequence) {
    orch::bus::v1::Reply reply = Make(node, sequence);
    reply.mutable_progress()->mutable_puppet_run()->set_message("applied");
    return job_->Apply(reply, now());
  }
  Job::Applied Unknown(const std::string& node, bool never_started = true) {
    orch::bus::v1::Reply reply = Make(node);
    reply.mutable_unknown_request()->set_never_started(never_started);
    return job_->Apply(reply, now());
  }
  Job::Applied End(const std::string& node,
                   orch::v1::NodeState state = orch::v1::NODE_STATE_SUCCEEDED,
                   const std::string& message = "") {
    orch::bus::v1::Reply reply = Make(node, 99);
    reply.mutable_outcome()->set_state(state);
    reply.mutable_outcome()->set_message(message);
    return job_->Apply(reply, now());
  }
  void Pass(absl::Duration time) {
    clock_.Advance(time);
    job_->OnTime(now());
  }
  orch::v1::NodeState At(const std::string& node) { return *job_->nodes().StateOf(node); }
  uint32_t Count(orch::v1::NodeState state) {
    const orch::v1::Job job = job_->Snapshot(false);
    for (const auto& count : job.counts()) {
      if (count.state() == state) return count.count();
    }
    return 0;
  }
  orch::v1::JobState state() { return job_->state(); }

  base::FakeClock clock_;
  std::unique_ptr<Job> job_;
};

inline std::vector<JobNodeStart> Nodes(const std::vector<std::string>& names) {
  std::vector<JobNodeStart> nodes;
  for (const std::string& name : names) nodes.push_back({.node = name});
  return nodes;
}

}  // namespace orch::controller
