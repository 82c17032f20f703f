// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace orch::cli {

// What an ErrorInfo reason means and what to do about it (docs/errors.md has the same table); empty
// if unknown.
std::string ExplainReason(const std::string& reason);
std::string KnownReasons();

}  // namespace orch::cli
