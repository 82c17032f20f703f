// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "target/evaluate.h"
#include "target/expression.h"

// What a node has where a clause of a target looks, in words, for people who ask why the node
// matches or does not.

namespace orch::target {

// `role is "db"; there is no fact country; class nginx is there`: the atoms of the expression in
// their order, each once. Long values and long lists of atoms are cut.
std::string Observe(const Expression& expression, Evaluation* evaluation);
// `offers puppet.run, puppet.status`.
std::string ObserveActions(const NodeView& node);

}  // namespace orch::target
