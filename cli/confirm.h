// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "cli/options.h"

// Many nodes: the operator types how many are meant.

namespace orch::cli {

// Whether somebody may be asked at all: at a terminal, and neither --no-input nor --yes forbids it.
bool MayAsk(const Session& session);
// How many nodes a refusal speaks of that wants their number confirmed; nullopt: it is another one.
std::optional<uint32_t> CountToConfirm(const absl::Status& refusal);
// Asks for the number of nodes that `what` would go to. True only if the answer is exactly that
// number and was ended with Enter; end of input, an empty line, another number or word is a no.
bool ConfirmCount(Terminal& terminal, std::istream& in, const std::string& what, uint32_t count);

}  // namespace orch::cli
