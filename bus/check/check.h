// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "absl/status/status.h"
#include "base/asio.h"
#include "bus/check/check.pb.h"
#include "bus/check/check_cases.h"
#include "bus/check/check_peer.h"

namespace orch::bus {

// Tries all cases of each role that has credentials, each on a connection of its own, and fills in
// the rows of `*check`. With credentials of a node and of a controller the effects are looked at as
// well: for each verb the one who would notice listens, or speaks.
//
// On a bus in use it does no harm: its messages are no envelopes (nodes and controllers count and
// drop them), expire at once, and what it hears of others goes back to where it was.
//
// Completes when: all is tried. Errors: Unavailable: the broker can't be reached, or not any more;
// rows so far stay. Cancellation: total. Runs on: `strand`.
base::Awaitable<absl::Status> RunCheck(base::Strand strand, CheckBroker broker, CheckNames names,
                                       std::map<CheckRole, CheckCredentials> credentials,
                                       BrokerCheck* check);

}  // namespace orch::bus
