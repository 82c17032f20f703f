// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "orch/v1/action.pb.h"

// An action with its arguments in words, as a command line has them. Pure.

namespace orch::api {

// `puppet.run --noop --environment staging --tags a,b`: the name, then each argument that is set,
// in the order of the message. False of an optional flag is `--no-noop`; a text with other
// characters than those of names and paths is in double quotes, escaped. An external action's
// arguments are `key=value`. Arguments that are marked as sensitive are left out. Empty if no arm
// is set.
std::string ActionWords(const orch::v1::Action& action);

}  // namespace orch::api
