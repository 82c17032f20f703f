// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/strand.h"
#include "base/worker.h"
#include "nodeagent/actions/actions.h"
#include "nodeagent/puppet/puppet_paths.h"

namespace orch::nodeagent {

struct PuppetRunsParts {
  base::Strand strand;
  base::Worker* worker = nullptr;
  const base::Clock* clock = nullptr;
  PuppetPathsFinder* paths = nullptr;
  std::string runs;                  // the directory of the runs' directories
  std::vector<std::string> wrapper;  // argv; the run's directory is appended
  // Called when a run has ended: facts and classes may have changed.
  std::function<void()> on_run_ended;
  base::Random* random = base::SystemRandom();  // for the splay
};

// Whose a run was; empty texts: none of ours yet.
struct RunOrigin {
  std::string transaction_uuid;
  std::string job_id;
  std::string caller;
};

// Does puppet.run. A new run starts only when no other run of ours is under way and nobody holds
// Puppet's own run lock. A request that asks for it first waits for its splay and for the lock, and
// can be cancelled meanwhile. Then its directory (run_directory.h) is written, and a RunFollower
// takes it to its outcome, also after a restart of the agent.
//
// Lives on: its strand.
class PuppetRuns {
 public:
  explicit PuppetRuns(PuppetRunsParts parts);
  ~PuppetRuns();
  PuppetRuns(const PuppetRuns&) = delete;
  PuppetRuns& operator=(const PuppetRuns&) = delete;

  void Start(ActionCall call);
  void Resume(ActionCall call);
  void Cancel(const std::string& job_id);
  // Runs that are under way, those that wait included.
  int running() const;
  // Whose the last run was that this agent started; also after a restart.
  const RunOrigin& origin() const;

 private:
  struct State;
  const std::shared_ptr<State> state_;
};

}  // namespace orch::nodeagent
