// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/time/time.h"
#include "nodeagent/puppet/puppet_paths.h"
#include "orch/bus/v1/reply.pb.h"
#include "orch/v1/action.pb.h"

// The actions puppet.status, puppet.enable and puppet.disable. They read and write Puppet's own
// disabled lock, so that Puppet and every other tool see the same. They answer before they return,
// after a few system calls.

namespace orch::nodeagent {

// Who asked; it becomes part of the message that stays on the node.
struct SwitchCaller {
  std::string caller;
  std::string job_id;  // may be empty
};

orch::bus::v1::Outcome RunPuppetStatus(orch::v1::PuppetStatusResult state);

// Changes nothing on a node that is enabled already.
orch::bus::v1::Outcome RunPuppetEnable(const PuppetPaths& paths, absl::Time now);

// On a node that is disabled already the old message stays, unless `force`.
orch::bus::v1::Outcome RunPuppetDisable(const orch::v1::PuppetDisable& action,
                                        const SwitchCaller& caller, const PuppetPaths& paths,
                                        absl::Time now);

// The outcome of an enable or disable during which the agent was restarted: SUCCEEDED if the node
// is in the wanted state, else REFUSED `interrupted`, because the action is not done any more.
orch::bus::v1::Outcome ResumePuppetEnable(const PuppetPaths& paths, absl::Time now);
orch::bus::v1::Outcome ResumePuppetDisable(const PuppetPaths& paths, absl::Time now);

}  // namespace orch::nodeagent
