// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "nodeagent/puppet/puppet_config.pb.h"
#include "nodeagent/puppet/puppet_paths.h"
#include "orch/v1/action.pb.h"

// How a puppet.run becomes a command line. Pure, thread-safe.

namespace orch::nodeagent {

// The longest splay where the request names none; MCollective's.
inline constexpr absl::Duration kSplayLimitDefault = absl::Seconds(30);
inline constexpr absl::Duration kSplayLimitMax = absl::Hours(1);
// How long a run may take where neither request nor Puppet says so.
inline constexpr absl::Duration kRunTimeoutDefault = absl::Hours(1);
// What a run may take beyond Puppet's own limit, to start and to end.
inline constexpr absl::Duration kRunTimeoutSlack = absl::Seconds(60);

// Whether the request's options may be given to this node's Puppet. InvalidArgument: which is wrong
// and why.
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

absl::Duration ToDuration(const google::protobuf::Duration& proto);

}  // namespace orch::nodeagent
