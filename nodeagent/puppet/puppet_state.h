// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/time/time.h"
#include "nodeagent/puppet/puppet_paths.h"
#include "orch/v1/action.pb.h"

namespace orch::nodeagent {

// What Puppet is doing, read from its files in a millisecond or two, without starting Ruby.
// Thread-safe. `paths` may be null: then the status is `unknown`.
orch::v1::PuppetStatusResult ReadPuppetState(const PuppetPaths* paths, absl::Time now);

// `9 minutes 10 seconds`; MCollective's wording.
std::string AgeWords(absl::Duration age);

}  // namespace orch::nodeagent
