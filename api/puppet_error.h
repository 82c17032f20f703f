// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "orch/v1/action.pb.h"

namespace orch::api {

// `<resource>: <message> (file: <file>, line: <line>)`, as Puppet itself prints it; the place is
// left out where the message has it already. Pure.
std::string ErrorLine(const orch::v1::PuppetRunError& error);

}  // namespace orch::api
