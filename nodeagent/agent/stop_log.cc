// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/agent/stop_log.h"

#include "absl/strings/str_cat.h"
#include "base/ids.h"
#include "base/proto_time.h"

namespace orch::nodeagent {
namespace {

bool IsOrdinary(Rung rung) {
  return rung == Rung::kNotNamed || rung == Rung::kNotMatched || rung == Rung::kReplayed ||
         rung == Rung::kKnown;
}

// A controller that this node could obey and does not: somebody has to change a configuration.
bool RefusesController(Rung rung) {
  return rung == Rung::kController || rung == Rung::kRole || rung == Rung::kRevoked;
}

}  // namespace

std::vector<orch::v1::ControllerRefusal> StopLog::controller_refusals(absl::Time now) const {
  std::vector<orch::v1::ControllerRefusal> refusals;
  for (const auto& [controller, stopped] : refused_controllers_) {
    if (now - stopped.time > kControllerRefusalKept) continue;
    orch::v1::ControllerRefusal& refusal = refusals.emplace_back();
    refusal.set_controller(controller);
    refusal.set_reason(stopped.stop.why);
    *refusal.mutable_time() = ToTimestamp(stopped.time);
  }
  return refusals;
}

void StopLog::Note(const Message& message, const Stop& stop) {
  ++counters_.stopped[static_cast<size_t>(stop.rung)];
  if (IsOrdinary(stop.rung)) return;
  const std::string what = KindWords(message.request);
  recent_.push_back({message.now.wall, stop, message.signer.common_name, what});
  if (recent_.size() > kRecentStopsMax) recent_.pop_front();
  const std::string& signer = message.signer.common_name;
  if (RefusesController(stop.rung) && !signer.empty() &&
      (refused_controllers_.size() < kControllerRefusalsMax ||
       refused_controllers_.contains(signer))) {
    refused_controllers_[signer] = recent_.back();
  }
  uint64_t suppressed = 0;
  const std::string key = absl::StrCat(RungName(stop.rung), " ", message.signer.common_name);
  if (!limiter_.Admit(key, message.now, &suppressed)) return;
  // Before the signature held there is no exchange, and no id that could be believed.
  static const Exchange kNone = {};
  const Exchange& exchange = message.exchange == nullptr ? kNone : *message.exchange;
  const bool has_id = exchange.request_id.size() == 16;
  base::LogWarning("request refused", {{"job_id", exchange.job_id},
                                       {"request_id", has_id ? base::Hex(exchange.request_id) : ""},
                                       {"reason", RungName(stop.rung)},
                                       {"why", stop.why},
                                       {"signer", message.signer.common_name},
                                       {"what", what},
                                       {"caller", message.request.caller()},
                                       {"not_logged", suppressed},
                                       {"trace_id", exchange.trace.trace_id},
                                       {"span_id", exchange.trace.span_id}});
}

}  // namespace orch::nodeagent
