// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "cli/connection.h"
#include "orch/v1/job.pb.h"

// What to say where nobody was meant, or somebody who does not exist.

namespace orch::cli {

// Which clause of the target left nobody, and what is near: a fact of another name, a node's whole
// name. Asks the controller; empty where it can't tell.
std::vector<std::string> WhyNobody(Connection& connection, const orch::v1::Target& target,
                                   const google::protobuf::RepeatedPtrField<std::string>& nodes);
// `web1: did you mean web1.example.net?` for each of the names that no node of the roster has; at
// most 3 lines.
std::vector<std::string> NearNames(Connection& connection, const std::vector<std::string>& names);

}  // namespace orch::cli
