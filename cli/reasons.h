// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace orch::cli {

// What a reason of an ErrorInfo means and what to do about it, in words; docs/errors.md has the
// same table. Empty: the reason is not known.
std::string ExplainReason(const std::string& reason);
std::string KnownReasons();

}  // namespace orch::cli
