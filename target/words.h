// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/strings/string_view.h"
#include "orch/v1/target.pb.h"

namespace orch::target {

// Adds what `-W "…"` says: words split on spaces, each a fact comparison if it has an operator
// behind a name, else a class. Never fails: Target::Compile judges the result.
// Where there is not one word it adds nothing, and the caller must not take that for a clause.
void AddWords(absl::string_view text, orch::v1::Target* target);

// The same as a Target of its own.
orch::v1::Target ParseWords(absl::string_view text);

}  // namespace orch::target
