// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/actions/outcome.h"

#include <string>
#include <utility>

#include "nodeagent/text/clean_text.h"

namespace orch::nodeagent {

orch::bus::v1::Outcome Ended(orch::v1::NodeState state, absl::string_view reason,
                             absl::string_view message) {
  orch::bus::v1::Outcome outcome;
  outcome.set_state(state);
  outcome.set_reason(std::string(reason));
  outcome.set_message(CleanText(message, kOutcomeMessageMax));
  return outcome;
}

orch::bus::v1::Outcome Refused(absl::string_view reason, absl::string_view message) {
  return Ended(orch::v1::NODE_STATE_REFUSED, reason, message);
}

orch::bus::v1::Outcome Failed(absl::string_view reason, absl::string_view message) {
  return Ended(orch::v1::NODE_STATE_FAILED, reason, message);
}

orch::bus::v1::Outcome Succeeded(orch::v1::ActionResult result) {
  orch::bus::v1::Outcome outcome;
  outcome.set_state(orch::v1::NODE_STATE_SUCCEEDED);
  *outcome.mutable_result() = std::move(result);
  return outcome;
}

}  // namespace orch::nodeagent
