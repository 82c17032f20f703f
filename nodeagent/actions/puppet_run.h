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

// puppet.run: at most one run of ours at a time, beside which Puppet's own lock is honoured. A
// request first waits, if it is asked to: for its splay, for the lock; that much can be cancelled.
// Then its directory is written, and from there on a RunFollower sees it through, also after a
// restart of the agent.
//
// Lives on: its strand.
class PuppetRuns {
 public:
  explicit PuppetRuns(PuppetRunsParts parts);
  ~PuppetRuns();
  PuppetRuns(const PuppetRuns&) = delete;
  PuppetRuns& operator=(const PuppetRuns&) = delete;

  // Nullopt, or why it is refused at once.
  std::optional<orch::bus::v1::Outcome> Admit(const orch::v1::PuppetRun& run) const;
  void Start(ActionCall call);
  void Resume(ActionCall call);
  void Cancel(const std::string& job_id);
  // Those that wait included.
  int running() const;

 private:
  struct State;
  const std::shared_ptr<State> state_;
};

}  // namespace orch::nodeagent
