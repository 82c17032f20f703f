// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

// Many nodes' names in few words. Pure.

namespace orch::cli {

// Names that differ in one number of their first label together: `web[01-40,43].example.net`;
// others as they are. Each name stands for exactly itself: a range has only numbers that are there,
// written as they are there. In the order of people (NaturalLess) by the first name of each.
std::vector<std::string> FoldNames(std::vector<std::string> names);

// Folded names with commas, as many as fit into `width` columns (0: all), then how many nodes are
// not named: `web[01-40].example.net, db1 and 7 more`. At least one is named. `ellipsis`: what
// stands where a single name is cut.
std::string FoldedNames(const std::vector<std::string>& names, size_t width,
                        const std::string& ellipsis);

}  // namespace orch::cli
