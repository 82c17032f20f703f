// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

// Facts that are no news when they change. Pure.

namespace orch::nodeagent {

// Removes the facts that `pattern` names: a dotted path, `*` for any key.
void RemoveFact(nlohmann::json* facts, const std::string& pattern);
// Facts that change all the time, as Facter and Ohai name them.
std::vector<std::string> DefaultVolatileFacts();

}  // namespace orch::nodeagent
