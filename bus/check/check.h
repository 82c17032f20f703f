// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "absl/status/status.h"
#include "base/asio.h"
#include "bus/check/check.pb.h"
#include "bus/check/check_cases.h"
#include "bus/check/check_peer.h"

namespace orch::bus {

// Tries all cases (check_cases.h) of each role that has credentials, each case on a connection of
// its own, and fills in the rows of `*check`. With credentials of a node and of a controller the
// effects are looked at too: after a SEND the one who could hear it listens, after a SUBSCRIBE the
// one who may send there speaks.
//
// It does no harm on a bus that is in use: its messages are not envelopes, so nodes and controllers
// count and drop them; they expire soon; and messages of others that it receives from a queue go
// back to the queue.
//
// Completes when: all is tried. Errors: Unavailable: the broker can't be reached, or not any more;
// rows so far stay. Cancellation: total. Runs on: `strand`.
base::Awaitable<absl::Status> RunCheck(base::Strand strand, CheckBroker broker, CheckNames names,
                                       std::map<CheckRole, CheckCredentials> credentials,
                                       BrokerCheck* check);

}  // namespace orch::bus
