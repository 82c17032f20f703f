// SPDX-License-Identifier: Apache-2.0
#include "cli/tally.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/proto_time.h"
#include "cli/render.h"

namespace orch::cli {
namespace {

using orch::v1::JobNode;
using orch::v1::NodeState;

}  // namespace

absl::StatusOr<Tolerance> Tolerance::Parse(const std::string& text) {
  Tolerance out;
  for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    absl::string_view budget = part;
    if (part == "disabled") {
      out.disabled = true;
    } else if (part == "running") {
      out.running = true;
    } else if (absl::ConsumePrefix(&budget, "no-response:")) {
      out.no_response_is_percent = absl::ConsumeSuffix(&budget, "%");
      if (!absl::SimpleAtoi(budget, &out.no_response) || out.no_response < 0 ||
          (out.no_response_is_percent && out.no_response > 100)) {
        return absl::InvalidArgumentError(
            absl::StrCat("--tolerate ", part, ": expected no-response:N or N%"));
      }
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("--tolerate ", part, ": expected disabled, running or no-response:N|P%"));
    }
  }
  return out;
}

void Tally::Apply(const orch::v1::WatchJobResponse& batch) {
  if (batch.has_job()) job_ = batch.job();
  for (const orch::v1::JobEvent& event : batch.events()) {
    if (event.sequence() <= last_sequence_) continue;
    last_sequence_ = event.sequence();
    switch (event.kind_case()) {
      case orch::v1::JobEvent::kStarted:
        for (const std::string& name : event.started().nodes()) {
          JobNode node;
          node.set_node(name);
          node.set_state(orch::v1::NODE_STATE_PENDING);
          ApplyNode(node);
        }
        break;
      case orch::v1::JobEvent::kNode:
        ApplyNode(event.node());
        break;
      case orch::v1::JobEvent::kStateChanged:
        job_.set_state(event.state_changed().state());
        job_.set_pause_reason(event.state_changed().pause_reason());
        break;
      case orch::v1::JobEvent::kFinished:
        job_ = event.finished();
        finished_ = true;
        break;
      case orch::v1::JobEvent::kProgress:
      case orch::v1::JobEvent::KIND_NOT_SET:
        break;
    }
  }
}

void Tally::ApplyNode(const JobNode& node) {
  const auto [it, is_new] = nodes_.try_emplace(node.node());
  if (!is_new) --counts_[it->second.state()];
  ++counts_[node.state()];
  if (IsTerminal(node.state()) && !IsTerminal(it->second.state())) {
    if (node.has_send_time() && node.has_update_time()) {
      times_.push_back(ToTime(node.update_time()) - ToTime(node.send_time()));
    }
    if (node.result().puppet_run().verdict() == orch::v1::PUPPET_RUN_VERDICT_CHANGED) ++changed_;
  }
  it->second = node;
}

uint32_t Tally::count(NodeState state) const {
  const auto it = counts_.find(state);
  return it == counts_.end() ? 0 : it->second;
}

uint32_t Tally::silent() const {
  return count(orch::v1::NODE_STATE_NO_RESPONSE) + count(orch::v1::NODE_STATE_TIMED_OUT) +
         count(orch::v1::NODE_STATE_LOST);
}

uint32_t Tally::refused() const {
  return count(orch::v1::NODE_STATE_REFUSED) + count(orch::v1::NODE_STATE_DENIED) +
         count(orch::v1::NODE_STATE_CANCELLED);
}

uint32_t Tally::running() const {
  return count(orch::v1::NODE_STATE_ACCEPTED) + count(orch::v1::NODE_STATE_RUNNING);
}

uint32_t Tally::waiting() const {
  return count(orch::v1::NODE_STATE_PENDING) + count(orch::v1::NODE_STATE_SENT);
}

uint32_t Tally::ended() const {
  uint32_t sum = 0;
  for (const auto& [state, count] : counts_) {
    if (IsTerminal(static_cast<NodeState>(state))) sum += count;
  }
  return sum;
}

bool Tolerance::Forgives(size_t silent, size_t targets) const {
  const uint64_t forgiven = no_response < 0          ? 0
                            : no_response_is_percent ? uint64_t{targets} * no_response / 100
                                                     : no_response;
  return silent <= forgiven;
}

ExitCode Tally::Exit(const Tolerance& tolerance) const {
  if (job_.state() == orch::v1::JOB_STATE_CANCELLED ||
      job_.state() == orch::v1::JOB_STATE_STOPPED) {
    return kExitStopped;
  }
  if (nodes_.empty()) return kExitNothing;
  uint32_t bad = 0, silent = 0;
  for (const auto& [name, node] : nodes_) {
    switch (node.state()) {
      case orch::v1::NODE_STATE_SUCCEEDED:
        break;
      case orch::v1::NODE_STATE_REFUSED:
        if (tolerance.disabled && node.reason() == "disabled") break;
        if (tolerance.running && node.reason() == "already_running") break;
        ++bad;
        break;
      case orch::v1::NODE_STATE_NO_RESPONSE:
      case orch::v1::NODE_STATE_TIMED_OUT:
      case orch::v1::NODE_STATE_LOST:
        ++silent;
        break;
      default:
        ++bad;
    }
  }
  if (bad > 0) return kExitFailed;
  return tolerance.Forgives(silent, nodes_.size()) ? kExitOk : kExitNoAnswer;
}

orch::v1::JobReport Tally::Report() const {
  orch::v1::JobReport report;
  *report.mutable_job() = job_;
  for (const auto& [name, node] : nodes_) *report.add_nodes() = node;
  return report;
}

}  // namespace orch::cli
