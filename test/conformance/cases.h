// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"

// Cases that the real MCollective and the real ActionPolicy have answered, put to our own code.

namespace orch::conformance {

// `true`, `false` or `invalid` for {node, target}. InvalidArgument if the case itself is malformed.
absl::StatusOr<std::string> TargetVerdict(const nlohmann::json& test_case);

// `allow`, `deny` or `invalid` for {policy, groups, caller, action, node}. InvalidArgument as
// above.
absl::StatusOr<std::string> PolicyVerdict(const nlohmann::json& test_case);

}  // namespace orch::conformance
