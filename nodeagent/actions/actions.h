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

class Facts;         // nodeagent/facts.h
class Journal;       // nodeagent/journal.h
struct PuppetPaths;  // nodeagent/puppet_paths.h

// What an action is given when it starts.
struct ActionCall {
  std::string request_id;  // 16 bytes
  std::string job_id;      // may be empty
  std::string caller;      // `cert=operator`
  orch::v1::Action action;
  absl::Duration timeout;  // how long it may take
  // Sends news while it works; bounded by the agent. On the agent's strand.
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
  // By name, with schema digests: what presence announces.
  virtual std::vector<orch::v1::NodeAction> Offered() const = 0;
  // Runs it. Mutating actions have been accepted in the journal before; `call.done` may come at
  // once.
  virtual void Start(ActionCall call) = 0;
  // After a restart: takes up a mutating action that the journal says was accepted and not ended.
  // Ends with its real result if it ran or still runs, REFUSED `interrupted` if it can be proven
  // that it never started and never will, LOST otherwise.
  virtual void Resume(ActionCall call) = 0;
  // Forgets what has not started for this job (it waits for a lock or a splay): those end
  // CANCELLED.
  virtual void Cancel(const std::string& job_id) = 0;
  // What is under way, for status and capacity.
  virtual int running() const = 0;
  // Current Puppet state for presence.
  virtual orch::v1::PuppetStatusResult PuppetState() const = 0;
};

}  // namespace orch::nodeagent
