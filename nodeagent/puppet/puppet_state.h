// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/time/time.h"
#include "nodeagent/puppet/puppet_paths.h"
#include "orch/v1/action.pb.h"

namespace orch::nodeagent {

// What Puppet is doing now and when it ran last, read from its files in a millisecond or two,
// without starting Ruby. `paths` may be null: the status is `unknown` then. Never fails: what can't
// be read is left out. Thread-safe.
orch::v1::PuppetStatusResult ReadPuppetState(const PuppetPaths* paths, absl::Time now);

// `age` in MCollective's wording: `9 minutes 10 seconds`.
std::string AgeWords(absl::Duration age);

}  // namespace orch::nodeagent
