// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/plants.h"
#include "bus/stomp/destination.h"

namespace orch::controller {

// Requests of one job whose publishing is logged at level info: a rolling job sends thousands.
inline constexpr int kPublishedLoggedMax = 20;

// What the dispatcher is told by the configuration. Constant after construction.
struct DispatcherOptions {
  std::string controller;  // this controller's identity; part of its reply queues
  std::vector<std::string> collectives = {"main"};
  bus::Destinations destinations;
  std::string store_path;       // SQLite; `<store_path>.lock` beside it is held
  uint32_t confirm_above = 50;  // SECURITY: mutating jobs on more nodes want a count
  uint32_t concurrency = 8;     // of puppet.run where the spec says nothing
  absl::Duration presence_interval = absl::Minutes(5);
  absl::Duration stale_after = absl::ZeroDuration();  // 0: three presence intervals
  absl::Duration request_ttl = absl::Seconds(60);     // of every signed request; at most 900 s
  absl::Duration beacon_interval = absl::Seconds(30);
  // Everybody is asked anew after a reconnect, but not more often than this: later, then.
  absl::Duration everybody_pause = absl::Seconds(30);
  // How long known nodes may stay silent when a job that changes something asks who would.
  absl::Duration discovery_timeout = absl::Seconds(2);
  uint64_t jobs_kept = 10000;  // ended jobs beyond these are forgotten, the oldest first
  absl::Duration jobs_kept_for = absl::Hours(24 * 30);
  uint32_t jobs_running_max = 1000;  // more at once are refused
  base::Plants plants;               // for test/sim alone
};

}  // namespace orch::controller
