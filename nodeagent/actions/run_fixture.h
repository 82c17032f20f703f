// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/strand.h"
#include "nodeagent/actions/puppet_run.h"
#include "nodeagent/process/process.h"
#include "nodeagent/wrapper/run_directory.h"

namespace orch::nodeagent {

// A node with the fake Puppet of test/testing/fake_puppet and everything that puppet.run needs, in
// a directory of its own. The loop is driven by Until().
class RunFixture : public testing::Test {
 protected:
  RunFixture();
  ~RunFixture() override;

  // What the fake Puppet does; see its own description.
  void Script(const nlohmann::json& script);
  // A node agent that was just started, over what the last one left on disk.
  void StartAgent();
  // Ends the agent as SIGKILL would: it sends nothing and writes nothing.
  void KillAgent();
  // Runs the loop until `condition` holds; false after `patience_`.
  bool Until(const std::function<bool()>& condition);

  ActionCall Call(const orch::v1::PuppetRun& run = {}, char id = 'a');
  void Start(const orch::v1::PuppetRun& run = {}, char id = 'a');
  void Resume(char id = 'a');
  // The outcome of the request, when it has come.
  orch::bus::v1::Outcome Outcome(char id = 'a');
  bool HasOutcome(char id = 'a') const { return outcomes_.contains(id); }
  const orch::v1::PuppetRunResult& Result(const orch::bus::v1::Outcome& outcome) const {
    return outcome.result().puppet_run();
  }

  RunDirectory Directory(char id = 'a') const;
  // Waits until the run is claimed by a wrapper, until Puppet waits for its go.
  ProcessId Wrapper(char id = 'a');
  ProcessId Puppet(char id = 'a');
  // How often Puppet was started, with which arguments.
  std::vector<nlohmann::json> Starts() const;
  // Lets a Puppet with `wait_for` go on.
  void Go();
  std::string GoFile() const { return directory_ + "/go"; }
  std::string DisabledLock() const { return vardir_ + "/state/agent_disabled.lock"; }
  std::string RunLock() const { return vardir_ + "/state/agent_catalog_run.lock"; }

  absl::Duration patience_ = absl::Seconds(10);
  std::string directory_;
  std::string vardir_;
  PuppetConfig config_;
  base::asio::io_context io_;
  base::Strand strand_{io_.get_executor()};
  std::unique_ptr<base::Worker> worker_ = base::NewThreadWorker();
  std::unique_ptr<PuppetPathsFinder> paths_;
  std::unique_ptr<PuppetRuns> runs_;
  absl::Duration timeout_ = absl::Minutes(1);
  std::map<char, std::vector<orch::bus::v1::Outcome>> outcomes_;
  std::vector<orch::v1::PuppetRunProgress> progress_;
  std::map<char, bool> waits_;  // what each said last
  int runs_ended_ = 0;
};

}  // namespace orch::nodeagent
