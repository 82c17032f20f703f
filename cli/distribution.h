// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cli/options.h"
#include "orch/v1/job.pb.h"

// The distribution of a fact: which values it has, and on which nodes. Pure.

namespace orch::cli {

// A fact's value in one line. A text stands as it is, but in quotes where it would read as
// something else (`"4"`, `"true"`, `"(none)"`, the empty text); any other value is JSON. The line
// is not made Safe yet (cli/text.h).
std::string FactText(const nlohmann::json& value);
// JSON in one line; never throws.
std::string JsonText(const nlohmann::json& value);

// One value of the fact and the nodes that have it.
struct Share {
  nlohmann::json value;  // null: the nodes that lack the fact
  std::string text;
  std::vector<std::string> nodes;  // sorted
};

struct Distribution {
  std::string fact;
  size_t answered = 0;
  std::vector<Share> shares;
  // The paths one level below the fact, where a value of it is a map.
  std::set<std::string> parts;
};

// The keys of SortShares.
const std::vector<std::string>& ShareSortKeys();

// What the nodes that answered node.facts said of `fact`.
Distribution Distribute(const std::string& fact,
                        const std::map<std::string, orch::v1::JobNode>& nodes);
// Sorts the shares by `count` (most nodes first, also for an empty `sort_by`) or by `value`
// (numbers by value, then text as people count); `-` in front turns the order. The nodes that lack
// the fact come last in any case. InvalidArgument: there is no such key.
absl::Status SortShares(const std::string& sort_by, Distribution* distribution);
// The distribution as text, a line for each value: value, nodes, percentage, bar. With `wide` the
// nodes are named below and nothing is cut; otherwise values are cut to the width of the terminal,
// if the output is one.
std::string Drawn(const Distribution& distribution, const Terminal& terminal, bool wide,
                  bool headers);

}  // namespace orch::cli
