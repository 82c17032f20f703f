// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "cli/options.h"

// The question before something goes to many nodes: the operator has to type how many are meant.

namespace orch::cli {

// Whether somebody may be asked at all: at a terminal, and neither --no-input nor --yes forbids it.
bool MayAsk(const Session& session);
// The number of nodes that a refusal wants to have confirmed; nullopt: the refusal is about
// something else.
std::optional<uint32_t> CountToConfirm(const absl::Status& refusal);
// Asks for the number of nodes that `what` would go to. True only if the answer is exactly `count`
// and was ended with Enter; end of input, an empty line, another number or any word is a no.
bool ConfirmCount(Terminal& terminal, std::istream& in, const std::string& what, uint32_t count);

// Asks whether `what` may go to every node. True only if the answer is `all`.
bool ConfirmAll(const Terminal& terminal, std::istream& in, const std::string& what);

}  // namespace orch::cli
