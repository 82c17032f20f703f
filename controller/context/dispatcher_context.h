// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/strand.h"
#include "controller/audit/audit_sink.h"
#include "controller/context/dispatcher_options.h"
#include "controller/context/metrics.h"
#include "trust/identity.h"

namespace orch::controller {

class Outbox;
class Roster;
class Store;

// What the dispatcher's parts (jobs, admissions, the roster's keeper, the beacon) share. Owned by
// the dispatcher's core, which outlives them all.
//
// Lives on: the dispatcher's strand.
struct DispatcherContext {
  DispatcherOptions options;
  base::Strand strand;
  const base::Clock* clock;
  std::shared_ptr<trust::Credentials> credentials;
  std::shared_ptr<AuditSink> audit;
  Store* store = nullptr;
  Outbox* outbox = nullptr;
  Roster* roster = nullptr;
  bool connected = false;     // to the bus, with all subscriptions confirmed
  absl::Time bus_since = {};  // since when it is connected, or not
  absl::Duration connected_at = -absl::InfiniteDuration();  // steady time of the last connect
  std::string bus_error = "not connected yet";              // why it is not connected
  DispatcherMetrics metrics = {};
};

// For errors and messages, how long the bus has been away and why: `not connected to the message
// bus for 1m15s: connect broker1:61614: Connection refused`.
std::string BusTrouble(const DispatcherContext& context);

}  // namespace orch::controller
