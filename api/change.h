// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/strings/string_view.h"
#include "orch/v1/action.pb.h"

namespace orch::api {

// Whether a change of a run's report only says that a resource was refreshed, or would be: Puppet
// writes one for each resource that is notified, and one for each class and stage around it, and
// runs with noop do not tell of them as real runs do. Pure.
bool IsRefresh(const orch::v1::ResourceChange& change);

// Takes the differences out of a run's changes, and says in their place why: `not_permitted`,
// `expired`; with an empty `why` nothing says that there were any.
void DropDiffs(absl::string_view why, orch::v1::PuppetRunResult* run);

}  // namespace orch::api
