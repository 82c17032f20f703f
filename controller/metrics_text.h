// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "controller/dispatcher.h"
#include "controller/metrics.h"

namespace orch::controller {

// Everything `/metrics` tells. Plain values, gathered from their strands.
struct ControllerMetrics {
  DispatcherStatus status;
  DispatcherMetrics dispatcher;
  std::array<uint64_t, 17> calls{};  // by canonical code
  uint64_t handshakes_refused = 0;
  uint64_t policy_allowed = 0, policy_denied = 0, unauthenticated = 0;
  uint64_t watchers = 0;
  bool audit_ok = true;
  int64_t certificate_end_seconds = 0;  // Unix time
  int64_t crl_end_seconds = 0;          // 0: there is no list
  // The bus client.
  uint64_t bus_connects = 0, bus_frames_in = 0, bus_frames_out = 0, bus_bytes_in = 0,
           bus_bytes_out = 0;
  // The broker in this process, if there is one.
  bool own_broker = false;
  uint64_t broker_connections = 0, broker_refused = 0, broker_slow_consumers = 0,
           broker_bytes_held = 0;
};

// The Prometheus text format 0.0.4. No name of a node, a caller or a job is in it. Pure.
std::string MetricsText(const ControllerMetrics& metrics);

}  // namespace orch::controller
