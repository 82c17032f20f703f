// SPDX-License-Identifier: Apache-2.0
#include "cli/reasons.h"

namespace orch::cli {
std::string ExplainReason(const std::string&) { return ""; }
std::string KnownReasons() { return ""; }
}  // namespace orch::cli
