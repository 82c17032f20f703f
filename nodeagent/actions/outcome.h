// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/strings/string_view.h"
#include "orch/bus/v1/reply.pb.h"

// How outcomes are made. Pure, thread-safe.

namespace orch::nodeagent {

// Bytes of an outcome's message.
inline constexpr size_t kOutcomeMessageMax = 2048;

// `message` may be any text; it is cleaned and cut.
orch::bus::v1::Outcome Ended(orch::v1::NodeState state, absl::string_view reason,
                             absl::string_view message);
orch::bus::v1::Outcome Refused(absl::string_view reason, absl::string_view message);
orch::bus::v1::Outcome Failed(absl::string_view reason, absl::string_view message);
orch::bus::v1::Outcome Succeeded(orch::v1::ActionResult result);

}  // namespace orch::nodeagent
