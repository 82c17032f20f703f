// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "nodeagent/config.h"
#include "nodeagent/status.pb.h"

namespace orch::nodeagent {

// A certificate or CRL that ends within this time is worth a warning.
inline constexpr absl::Duration kEndWarning = absl::Hours(24 * 60);
// A node that was deaf (connected, but without hearing a beacon) within this time is worth a
// warning.
inline constexpr absl::Duration kDeafWarning = absl::Hours(1);

// `orch-nodeagent status`: what the running agent left in its run_dir, as text or JSON on stdout.
// The exit code: 0 it runs and is connected, 1 not. Works without a controller.
int ShowStatus(const NodeAgentConfig& config, bool json);

// The status as text for people. Pure.
std::string StatusText(const AgentStatus& status, bool alive, absl::Time now);

enum class Finding { kGood, kWarning, kBad };
struct Check {
  Finding finding;
  std::string what;
  std::string text;
};
// The findings that follow from the status alone, for somebody who looks for a fault. Pure.
std::vector<Check> CheckStatus(const AgentStatus& status, bool alive, absl::Time now);

// `orch-nodeagent doctor`: prints the checks of the status and live checks of certificates,
// directories, Puppet and each broker, a line each. The exit code: 0 nothing is bad, 1 something
// is.
int ShowDoctor(const NodeAgentConfig& config, const std::string& config_path);

}  // namespace orch::nodeagent
