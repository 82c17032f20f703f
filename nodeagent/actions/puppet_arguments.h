// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "nodeagent/puppet/puppet_config.pb.h"
#include "nodeagent/puppet/puppet_paths.h"
#include "orch/v1/action.pb.h"

// Turns the options of a puppet.run into Puppet's command line, and bounds them. Pure, thread-safe.

namespace orch::nodeagent {

// The longest splay (a random wait before the start) where the request names none; MCollective has
// the same.
inline constexpr absl::Duration kSplayLimitDefault = absl::Seconds(30);
inline constexpr absl::Duration kSplayLimitMax = absl::Hours(1);
// How long a run may take where neither request nor Puppet says so.
inline constexpr absl::Duration kRunTimeoutDefault = absl::Hours(1);
// How much longer than Puppet's own limit (`runtimeout`) a run may take, to start and to end.
inline constexpr absl::Duration kRunTimeoutSlack = absl::Seconds(60);

// Checks whether the options may be given to this node's Puppet. InvalidArgument names the option
// and says why not.
absl::Status CheckPuppetRun(const orch::v1::PuppetRun& run, const PuppetConfig& config);

// The command line of a checked request, for execve(2). `log` is the file that Puppet logs to,
// named `.jsonl`.
std::vector<std::string> PuppetArguments(const orch::v1::PuppetRun& run, const PuppetConfig& config,
                                         const PuppetPaths& paths, const std::string& log);

// The environment whose catalog alone may be applied; empty: any. What the server or its ENC
// decides otherwise is a failure, unless the request allows it.
std::string EnvironmentAsked(const orch::v1::PuppetRun& run);

// How long the run may take: the request's own timeout, else the shorter of what the controller
// allows (`allowed`, 0: no limit) and Puppet's own limit and a minute.
absl::Duration RunTimeout(const orch::v1::PuppetRun& run, absl::Duration allowed,
                          const PuppetConfig& config, const PuppetPaths& paths);

}  // namespace orch::nodeagent
