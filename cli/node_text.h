// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "cli/grid.h"
#include "cli/options.h"
#include "orch/v1/job.pb.h"
#include "orch/v1/node.pb.h"

// Nodes as text: a line of the roster, or everything that is known of one node. Pure.

namespace orch::cli {

// A certificate that ends within this is worth a warning.
inline constexpr absl::Duration kCertificateEndsSoon = absl::Hours(24 * 60);

// `PRESENT`, `STALE`, `GONE`.
std::string RosterWord(const orch::v1::Node& node);
// The node's clock skew to the millisecond, with its sign; `-` where it is not known.
std::string SkewText(const orch::v1::Node& node);
// Facts by dotted path, as a target would name them; lists of plain values and empty things stay
// whole.
std::vector<std::pair<std::string, std::string>> Flattened(const nlohmann::json& facts);

// How many of NodeGrid's columns are for `-o table`.
inline constexpr size_t kNodeColumns = 6;
// The roster's lines; the columns behind kNodeColumns are for `-o wide`.
Grid NodeGrid(const google::protobuf::RepeatedPtrField<orch::v1::Node>& nodes,
              const Terminal& terminal, absl::Time now);
// `12 nodes: 10 present, 1 stale, 1 gone`
std::string NodeCounts(const google::protobuf::RepeatedPtrField<orch::v1::Node>& nodes);
// Everything that the controller knows of a node. `wide`: nothing is cut.
std::string NodeText(const orch::v1::Node& node, const Terminal& terminal, absl::Time now,
                     bool wide);
// Everything that a node says of itself in node.inventory; `known` is what the controller has
// measured, or null.
std::string InventoryText(const orch::v1::JobNode& node, const orch::v1::Node* known,
                          const Terminal& terminal, absl::Time now, bool wide);

}  // namespace orch::cli
