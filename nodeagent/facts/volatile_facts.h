// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

// Volatile facts: facts such as uptime and free memory that change all the time. They are left out
// of the digest that presence carries, so that their changes are no news. Pure.

namespace orch::nodeagent {

// Removes from `facts` what `pattern` names: a dotted path in which `*` stands for any key.
void RemoveFact(nlohmann::json* facts, const std::string& pattern);
// The patterns of such facts under the names that Facter and Ohai give them.
std::vector<std::string> DefaultVolatileFacts();

}  // namespace orch::nodeagent
