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

// How the values of a fact are distributed over the nodes. Pure.

namespace orch::cli {

// A fact's value in one line: text as it is, unless it would read as something else (`"4"`,
// `"true"`, `"(none)"`, the empty text); anything else as JSON. Not yet Safe.
std::string FactText(const nlohmann::json& value);
// JSON in one line; never throws.
std::string JsonText(const nlohmann::json& value);

// One value and who has it.
struct Share {
  nlohmann::json value;  // null: the nodes that lack the fact
  std::string text;
  std::vector<std::string> nodes;  // sorted
};

struct Distribution {
  std::string fact;
  size_t answered = 0;
  std::vector<Share> shares;
  // Where a value is a map: the paths one level below it.
  std::set<std::string> parts;
};

// The keys of SortShares.
const std::vector<std::string>& ShareSortKeys();

// What the nodes that answered node.facts said of `fact`.
Distribution Distribute(const std::string& fact,
                        const std::map<std::string, orch::v1::JobNode>& nodes);
// `count`: most nodes first; `value`: numbers by value, then text as people count; with `-` the
// other way round. Empty: by count. The nodes that lack the fact come last in any case.
// InvalidArgument: no such key.
absl::Status SortShares(const std::string& sort_by, Distribution* distribution);
// A line a value: value, nodes, percentage, bar. `wide` names the nodes below and cuts nothing;
// otherwise values are cut to what the terminal is wide, if it is one.
std::string Drawn(const Distribution& distribution, const Terminal& terminal, bool wide,
                  bool headers);

}  // namespace orch::cli
