// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/strand.h"
#include "controller/audit/audit_sink.h"
#include "controller/context/dispatcher_api.h"
#include "controller/context/dispatcher_options.h"
#include "controller/context/metrics.h"
#include "controller/context/start_budget.h"
#include "trust/identity.h"

namespace orch::controller {

class Outbox;
class Roster;
class Store;

// What the dispatcher's parts (jobs, admissions, the roster's keeper, the beacon) share. Owned by
// the dispatcher, which outlives them all.
//
// Lives on: the dispatcher's strand.
struct DispatcherContext {
  DispatcherOptions options;
  base::Strand strand;
  const base::Clock* clock;
  base::Random* random;
  base::Ulids* ulids;  // of jobs
  std::shared_ptr<trust::Credentials> credentials;
  std::shared_ptr<AuditSink> audit;
  Store* store = nullptr;
  Outbox* outbox = nullptr;
  Roster* roster = nullptr;
  std::shared_ptr<StartBudget> start_budget = std::make_shared<UnlimitedStarts>();
  JobJudge judge = nullptr;   // null: whatever was let through goes on
  uint64_t judge_number = 0;  // grows with each judge
  // Nodes under way by jobs that the policy's rule of this name permitted, also of those that are
  // about to be stored.
  std::function<void(const std::string& rule, absl::flat_hash_set<std::string>* nodes)>
      add_under_way = nullptr;
  // What is durable of the job of this id has changed.
  std::function<void(const std::string& id)> job_changed = nullptr;
  bool connected = false;                                   // to the bus, subscriptions in place
  absl::Time bus_since = {};                                // connected or not, since then
  absl::Duration connected_at = -absl::InfiniteDuration();  // steady, the last time
  std::string bus_error = "not connected yet";              // why not
  DispatcherMetrics metrics = {};
};

// For errors and messages, how long the bus has been away and why: `not connected to the message
// bus for 1m15s: connect broker1:61614: Connection refused`.
std::string BusTrouble(const DispatcherContext& context);

}  // namespace orch::controller
