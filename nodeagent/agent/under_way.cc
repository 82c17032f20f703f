// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/agent/under_way.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/ids.h"
#include "base/log.h"

namespace orch::nodeagent {

using orch::bus::v1::Outcome;

std::optional<std::string> UnderWay::WhyFull(bool mutates) const {
  int reading = 0;
  int waiting = 0;
  int working = static_cast<int>(accepting_.size());
  for (const auto& [id, running] : running_) {
    ++(!running.mutates ? reading : running.waits ? waiting : working);
  }
  if (!mutates) {
    if (reading < max_) return std::nullopt;
    return absl::StrCat(reading, " questions are under way");
  }
  if (working >= max_) return absl::StrCat(working, " actions are under way");
  if (waiting >= kWaitingMax) return absl::StrCat(waiting, " actions wait for others");
  return std::nullopt;
}

void UnderWay::Add(const std::string& request_id, Running running, absl::string_view event) {
  running_[request_id] = std::move(running);
  Log(event, request_id);
}

Running* UnderWay::Find(const std::string& request_id) {
  const auto found = running_.find(request_id);
  return found == running_.end() ? nullptr : &found->second;
}

std::optional<Running> UnderWay::End(const std::string& request_id, const Outcome& outcome) {
  const auto found = running_.find(request_id);
  if (found == running_.end()) return std::nullopt;
  if (orch::v1::NodeState_IsValid(outcome.state())) ++counters_.ended[outcome.state()];
  if (outcome.result().has_puppet_run()) {
    const int verdict = outcome.result().puppet_run().verdict();
    if (orch::v1::PuppetRunVerdict_IsValid(verdict)) ++counters_.verdicts[verdict];
  }
  Log("request ended", request_id, &outcome);
  Running ended = std::move(found->second);
  running_.erase(found);
  return ended;
}

void UnderWay::Log(absl::string_view event, const std::string& request_id,
                   const Outcome* outcome) const {
  const auto found = running_.find(request_id);
  if (found == running_.end()) return;
  const Running& running = found->second;
  const Exchange& exchange = *running.exchange;
  const absl::Duration age = clock_->Read().wall - running.accept_time;
  const std::string state = outcome == nullptr ? "" : orch::v1::NodeState_Name(outcome->state());
  base::LogInfo(event, {{"job_id", exchange.job_id},
                        {"request_id", base::Hex(request_id)},
                        {"action", running.action},
                        {"caller", running.caller},
                        {"controller", exchange.controller},
                        {"state", absl::StripPrefix(state, "NODE_STATE_")},
                        {"reason", outcome == nullptr ? "" : outcome->reason()},
                        {"since_accepted_seconds", absl::ToDoubleSeconds(age)},
                        {"trace_id", exchange.trace.trace_id},
                        {"span_id", exchange.trace.span_id}});
}

}  // namespace orch::nodeagent
