// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/strings/string_view.h"
#include "orch/v1/target.pb.h"

namespace orch::target {

// Adds the clauses of `-W "…"` to `target`: the text is split at spaces, and each word is a fact
// comparison if it has an operator behind a name, else a class. Never fails: Target::Compile judges
// the result. A text without a word adds nothing; the caller must not take that for a clause,
// because a target without clauses means everybody.
void AddWords(absl::string_view text, orch::v1::Target* target);

// The clauses of the text as a target of their own.
orch::v1::Target ParseWords(absl::string_view text);

}  // namespace orch::target
