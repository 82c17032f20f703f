// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/strings/string_view.h"

namespace orch::target {

// Less than zero, zero or more, as version `a` comes before, with or after `b`. The order is that
// of Puppet's versioncmp(): both are read as dashes, dots, runs of digits and runs of anything
// else, and the first of these that differs decides. A dash comes before a dot, a dot before the
// rest, digits are compared by number, everything else by its bytes without regard to case (ASCII).
// Of two where one ends first, that one comes first: 7.9 < 7.9.0 < 7.10, 1.0 < 1.0-rc1. Unlike
// there, leading zeros do not matter: 7.09 is 7.9. Pure; costs what reading both costs.
int CompareVersions(absl::string_view a, absl::string_view b);

}  // namespace orch::target
