// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/strings/string_view.h"
#include "orch/bus/v1/reply.pb.h"

// Makers of outcomes: how a node ended in a job, with a reason for programs (`disabled`) and a
// message for people. Pure, thread-safe.

namespace orch::nodeagent {

// Bytes of an outcome's message.
inline constexpr size_t kOutcomeMessageMax = 2048;

// Each takes any text as `message`, makes it clean UTF-8 and cuts it to kOutcomeMessageMax.
orch::bus::v1::Outcome Ended(orch::v1::NodeState state, absl::string_view reason,
                             absl::string_view message);
orch::bus::v1::Outcome Refused(absl::string_view reason, absl::string_view message);
orch::bus::v1::Outcome Failed(absl::string_view reason, absl::string_view message);
orch::bus::v1::Outcome Succeeded(orch::v1::ActionResult result);

}  // namespace orch::nodeagent
