// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/plants.h"
#include "base/timer.h"
#include "nodeagent/agent/agent.h"
#include "test/sim/ledger.h"
#include "test/sim/network.h"
#include "test/sim/process.h"
#include "test/sim/world.h"
#include "trust/config.pb.h"

namespace orch::sim {

// How Puppet behaves on the machines.
struct PuppetHabits {
  absl::Duration least = absl::Seconds(2);
  absl::Duration most = absl::Seconds(40);
  double failing = 0.15;
};

// The machine: what is on its disk, and the Puppet that outlives the agent. In place of
// nodeagent/actions, which writes a run's directory, starts a wrapper and follows it; the promises
// of that are kept here by the machine: what was handed over starts a little later, a request that
// was taken up again after a restart starts never, whoever asks again gets the one outcome.
class Machine {
 public:
  Machine(World* world, Ledger* ledger, std::string name, PuppetHabits habits)
      : world_(world), ledger_(ledger), name_(std::move(name)), habits_(habits) {}

  struct Run {
    TrueRun* truth = nullptr;
    bool launched = false;  // its wrapper runs
    bool claimed_by_agent = false;
    std::optional<orch::bus::v1::Outcome> outcome;
    std::optional<nodeagent::ActionCall> call;  // of the agent that waits for it
    Process* agent = nullptr;                   // whose that is
  };

  void Start(nodeagent::ActionCall call, Process* agent);
  void Resume(nodeagent::ActionCall call, Process* agent);
  void Cancel(const std::string& job);
  int running() const;
  // The agent is gone, Puppet is not.
  void ForgetAgent();
  // Puppet is gone too.
  void Reboot();

 private:
  void Launch(Run* run);
  void Begin(Run* run);
  void Finish(Run* run);
  void Progress(Run* run);
  void Answer(Run* run, orch::bus::v1::Outcome outcome);
  bool busy() const;

  World* const world_;
  Ledger* const ledger_;
  const std::string name_;
  const PuppetHabits habits_;
  uint64_t boots_ = 0;
  std::map<std::string, std::unique_ptr<Run>> runs_;  // by request id, hex
};

// A node: a machine and, most of the time, an agent on it, with the real journal, ladder and
// replies.
class Node {
 public:
  struct Parts {
    World* world;
    Ledger* ledger;
    Network* network;
    std::string name;
    std::string directory;  // its disk
    trust::TrustConfig trust;
    absl::Duration skew;
    PuppetHabits habits;
    base::Plants plants;
  };
  explicit Node(Parts parts);
  ~Node();

  void Start();
  // As SIGKILL would, or as pulling the plug, with what was not synced; up again after `down`.
  void Crash(bool reboot, absl::Duration down);
  // Dies after its journal's next work, in front of the answer.
  void CrashAtWork(bool reboot, absl::Duration down);
  // It lives on: a crash that waits for work does not come.
  void CalmDown();
  void LoseConnection();

 private:
  struct Life;
  void Bury(bool reboot);
  void Tick();

  const Parts parts_;
  Machine machine_;
  std::unique_ptr<Life> life_;
};

}  // namespace orch::sim
