// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/plants.h"
#include "bus/stomp/destination.h"

namespace orch::controller {

// How many requests of one job are logged at level info when they are published; a rolling job
// sends thousands.
inline constexpr int kPublishedLoggedMax = 20;

// What the dispatcher is told by the configuration. Constant after construction.
struct DispatcherOptions {
  std::string controller;  // this controller's identity; part of its reply queues
  std::vector<std::string> collectives = {"main"};
  bus::Destinations destinations;
  std::string store_path;  // SQLite; `<store_path>.lock` beside it is held
  uint32_t confirm_above =
      50;                    // mutating jobs on more nodes must state their number (expect_nodes)
  uint32_t concurrency = 8;  // nodes at once of a puppet.run whose spec says nothing
  absl::Duration presence_interval = absl::Minutes(5);
  absl::Duration stale_after = absl::ZeroDuration();  // 0: three presence intervals
  absl::Duration request_ttl = absl::Seconds(60);     // of every signed request; at most 900 s
  absl::Duration beacon_interval = absl::Seconds(30);
  // All nodes are asked for their presence after a reconnect, but not more often than this; a
  // request that would come too early is put off.
  absl::Duration everybody_pause = absl::Seconds(30);
  // How long a mutating job's discovery waits for known nodes that stay silent.
  absl::Duration discovery_timeout = absl::Seconds(2);
  uint64_t jobs_kept = 10000;  // ended jobs beyond these are forgotten, the oldest first
  absl::Duration jobs_kept_for = absl::Hours(24 * 30);
  absl::Duration diffs_kept_for = absl::Hours(24);  // after the end of their job
  uint32_t jobs_running_max = 1000;                 // more at once are refused
  base::Plants plants;                              // for test/sim alone
};

}  // namespace orch::controller
