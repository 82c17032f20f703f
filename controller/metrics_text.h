// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "bus/broker/broker.h"
#include "bus/client/client.h"
#include "controller/context/dispatcher_api.h"
#include "controller/context/metrics.h"

namespace orch::controller {

// All figures of `/metrics`, as plain values that were gathered from the strands where they live.
struct ControllerMetrics {
  DispatcherStatus status;
  DispatcherMetrics dispatcher;
  bus::ClientStatus bus;
  std::optional<bus::BrokerStatus> broker;  // of the broker in this process, if there is one

  // Calls that ended: by method, `JobService/GetJob`, and canonical code.
  std::vector<std::pair<std::string, std::array<uint64_t, 17>>> calls;
  uint64_t handshakes_refused = 0, handshakes_given_up = 0;
  uint64_t connections = 0, connections_refused = 0, connections_cut = 0;
  uint64_t unauthenticated = 0, watchers = 0;
  uint64_t policy_allowed = 0, policy_denied = 0, policies_loaded = 0, policies_refused = 0;
  bool policy_stale = false;
  uint64_t certificates_reloaded = 0, certificates_refused = 0;
  bool certificates_stale = false;
  uint64_t audit_written = 0, audit_refused = 0, audit_lost = 0, audit_folded = 0;
  bool audit_ok = true;
  bool ready = true;
  absl::Time certificate_end = absl::InfiniteFuture();
  absl::Time crl_end = absl::InfiniteFuture();  // infinite: there is no list
};

// The figures as Prometheus' text (base/telemetry/metrics_page.h). It has no name of a node, a
// caller or a job. Pure, apart from the figures of this process.
std::string MetricsText(const ControllerMetrics& metrics);

}  // namespace orch::controller
