// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "orch/bus/v1/reply.pb.h"
#include "orch/v1/action.pb.h"
#include "orch/v1/node.pb.h"

namespace orch::nodeagent {

class Facts;         // nodeagent/facts/facts.h
class Journal;       // nodeagent/journal/journal.h
struct PuppetPaths;  // nodeagent/puppet/puppet_paths.h

// One request to do something, as an action is given it.
struct ActionCall {
  std::string request_id;  // 16 bytes
  std::string job_id;      // may be empty
  std::string caller;      // `cert=operator`
  orch::v1::Action action;
  // How long the action may take, unless a puppet.run names a timeout of its own.
  absl::Duration timeout;
  // Called on the agent's strand with news while the action works. The agent bounds how much of it
  // travels.
  std::function<void(orch::v1::ActionProgress)> progress;
  // Told when it begins to wait for others (another run's lock, its splay), and when that is over.
  // On the agent's strand.
  std::function<void(bool)> waits;
  // Called exactly once, on the agent's strand; not called if the agent stops first.
  std::function<void(orch::bus::v1::Outcome)> done;
};

// The one place where actions are run: a switch over the action oneof, each handler in a file of
// its own in nodeagent/actions/.
//
// Lives on: the agent's strand.
class Actions {
 public:
  virtual ~Actions() = default;
  // The actions that this node can do, by name with their schema digests, as presence announces
  // them.
  virtual std::vector<orch::v1::NodeAction> Offered() const = 0;
  // Runs it. Mutating actions have been accepted in the journal before; `call.done` may come at
  // once.
  virtual void Start(ActionCall call) = 0;
  // Takes up, after a restart of the agent, a mutating action that the journal says was accepted
  // and has not ended. Its outcome is the real result if it ran or still runs, REFUSED
  // `interrupted` if it is proven that it never started and never will, and LOST otherwise.
  virtual void Resume(ActionCall call) = 0;
  // Ends the actions of this job that have not started yet (they wait for a lock or for their
  // splay) with the outcome CANCELLED. Those that have started go on.
  virtual void Cancel(const std::string& job_id) = 0;
  // How many actions are under way, those that wait included; for status and capacity.
  virtual int running() const = 0;
  // What Puppet is doing now, for presence.
  virtual orch::v1::PuppetStatusResult PuppetState() const = 0;
};

}  // namespace orch::nodeagent
