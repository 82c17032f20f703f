// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/time/time.h"
#include "nodeagent/puppet/puppet_paths.h"
#include "orch/bus/v1/reply.pb.h"
#include "orch/v1/action.pb.h"

// puppet.status, puppet.enable, puppet.disable. They work on Puppet's own lock file, so that Puppet
// itself and every other tool see the same. Answer at once, after a few system calls.

namespace orch::nodeagent {

// Who asked, for the message that stays on the node.
struct SwitchCaller {
  std::string caller;
  std::string job_id;  // may be empty
};

orch::bus::v1::Outcome RunPuppetStatus(const PuppetPaths& paths, absl::Time now);

// Changes nothing on a node that is enabled already.
orch::bus::v1::Outcome RunPuppetEnable(const PuppetPaths& paths, absl::Time now);

// On a node that is disabled already the old message stays, unless `force`.
orch::bus::v1::Outcome RunPuppetDisable(const orch::v1::PuppetDisable& action,
                                        const SwitchCaller& caller, const PuppetPaths& paths,
                                        absl::Time now);

// After a restart in the middle: it is done if the node is as it should be, and otherwise it is not
// done any more.
orch::bus::v1::Outcome ResumePuppetEnable(const PuppetPaths& paths, absl::Time now);
orch::bus::v1::Outcome ResumePuppetDisable(const PuppetPaths& paths, absl::Time now);

}  // namespace orch::nodeagent
