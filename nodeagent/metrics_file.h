// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/strand.h"
#include "base/weak.h"
#include "nodeagent/status_file.h"

namespace orch::nodeagent {

inline constexpr absl::Duration kMetricsFileInterval = absl::Seconds(15);

// What Prometheus is told of this node agent, as base/telemetry/metrics_page.h writes it; every
// name begins with `orch_nodeagent_`. Neither callers nor jobs nor controllers are in it.
std::string NodeMetricsText(const StatusSources& sources);

// Writes a textfile for node_exporter (`--collector.textfile.directory`) every
// kMetricsFileInterval, so that the file's age says whether the agent is alive. A file that can't
// be written is a warning a minute, and nothing else.
//
// Lives on: `strand`.
class MetricsFile {
 public:
  MetricsFile(base::Strand strand, std::string path, std::function<std::string()> gather);
  void Start();
  // Removes the file, because the agent stops and its figures are no longer true.
  void Remove();

 private:
  void Write();

  const std::string path_;
  const std::function<std::string()> gather_;
  base::asio::steady_timer timer_;
  base::LogLimiter limiter_;
  base::Lifetime lifetime_;
};

}  // namespace orch::nodeagent
