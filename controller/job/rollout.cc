// SPDX-License-Identifier: Apache-2.0
#include "controller/job/rollout.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "api/quantity.h"
#include "base/proto_time.h"
#include "base/status.h"

namespace orch::controller {
namespace {

// Must give the same on every machine and in every release, so neither absl::Hash nor std::hash:
// FNV-1a, then the finaliser of splitmix64, which spreads names that differ in their last
// characters only.
uint64_t SeededHash(absl::string_view seed, absl::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  auto mix = [&hash](absl::string_view bytes) {
    for (unsigned char c : bytes) hash = (hash ^ c) * 0x100000001b3;
    hash = (hash ^ 0xff) * 0x100000001b3;  // no name contains it: ends are told apart
  };
  mix(seed);
  mix(name);
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
  return hash ^ (hash >> 31);
}

}  // namespace

std::vector<std::string> ChooseNodes(std::vector<std::string> nodes, uint32_t limit,
                                     absl::string_view seed) {
  if (nodes.size() <= limit) return nodes;
  if (seed.empty()) {
    nodes.resize(limit);
    return nodes;
  }
  std::vector<std::pair<uint64_t, std::string>> ranked;
  ranked.reserve(nodes.size());
  for (std::string& node : nodes) {
    const uint64_t rank = SeededHash(seed, node);
    ranked.emplace_back(rank, std::move(node));
  }
  std::nth_element(ranked.begin(), ranked.begin() + limit, ranked.end());
  std::vector<std::string> chosen;
  chosen.reserve(limit);
  for (uint32_t i = 0; i < limit; ++i) chosen.push_back(std::move(ranked[i].second));
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

absl::StatusOr<RolloutPlan> PlanRollout(const orch::v1::Rollout& rollout, uint32_t nodes,
                                        uint32_t default_concurrency) {
  RolloutPlan plan;
  const auto resolve = [&](const orch::v1::Quantity& quantity, absl::string_view name) {
    return api::ResolveQuantity(quantity, nodes, absl::StrCat("spec.rollout.", name));
  };
  if (rollout.has_canary()) {
    ORCH_ASSIGN_OR_RETURN(plan.canary, resolve(rollout.canary(), "canary"));
  }
  plan.canary_wait = ToDuration(rollout.canary_wait());
  if (plan.canary_wait < absl::ZeroDuration()) {
    return api::BadField("spec.rollout.canary_wait", "is negative");
  }
  if (plan.canary_wait > absl::ZeroDuration() && !rollout.has_canary()) {
    return api::BadField("spec.rollout.canary_wait", "needs canary");
  }
  if (!rollout.unlimited()) {
    plan.concurrency = rollout.concurrency() > 0 ? rollout.concurrency() : default_concurrency;
  }
  if (rollout.has_batch_size()) {
    ORCH_ASSIGN_OR_RETURN(plan.batch_size, resolve(rollout.batch_size(), "batch_size"));
  }
  plan.batch_sleep = ToDuration(rollout.batch_sleep());
  if (plan.batch_sleep < absl::ZeroDuration()) {
    return api::BadField("spec.rollout.batch_sleep", "is negative");
  }
  if (plan.batch_sleep > absl::ZeroDuration() && !rollout.has_batch_size()) {
    return api::BadField("spec.rollout.batch_sleep", "needs batch_size");
  }
  if (rollout.has_max_failures()) {
    ORCH_ASSIGN_OR_RETURN(plan.max_failures, resolve(rollout.max_failures(), "max_failures"));
  }
  return plan;
}

StartEnd StartEndOf(orch::v1::NodeState outcome) {
  switch (outcome) {
    case orch::v1::NODE_STATE_SUCCEEDED:
      return StartEnd::kSucceeded;
    case orch::v1::NODE_STATE_REFUSED:
    case orch::v1::NODE_STATE_DENIED:
    case orch::v1::NODE_STATE_CANCELLED:
    case orch::v1::NODE_STATE_SKIPPED:
    case orch::v1::NODE_STATE_EXPIRED:
      return StartEnd::kDeclined;
    case orch::v1::NODE_STATE_FAILED:
    case orch::v1::NODE_STATE_TIMED_OUT:
    case orch::v1::NODE_STATE_NO_RESPONSE:
    case orch::v1::NODE_STATE_LOST:
    case orch::v1::NODE_STATE_UNSPECIFIED:
    case orch::v1::NODE_STATE_PENDING:
    case orch::v1::NODE_STATE_SENT:
    case orch::v1::NODE_STATE_ACCEPTED:
    case orch::v1::NODE_STATE_WAITING:
    case orch::v1::NODE_STATE_RUNNING:
    case orch::v1::NodeState_INT_MIN_SENTINEL_DO_NOT_USE_:
    case orch::v1::NodeState_INT_MAX_SENTINEL_DO_NOT_USE_:
      return StartEnd::kFailed;
  }
  return StartEnd::kFailed;
}

bool RolloutWindow::batch_full() const {
  return plan_.batch_size > 0 && started_ > 0 && started_ % plan_.batch_size == 0;
}

uint32_t RolloutWindow::Startable(uint32_t waiting, absl::Duration steady) const {
  if (!StopReason().empty()) return 0;
  if (steady < canary_over()) return 0;
  uint32_t room = waiting;
  if (in_canary()) {
    const uint32_t chosen = succeeded_ + under_way();
    room = std::min(room, plan_.canary - std::min(plan_.canary, chosen));
  }
  if (plan_.concurrency > 0) {
    room = std::min(room, plan_.concurrency - std::min(plan_.concurrency, under_way()));
  }
  if (plan_.batch_size > 0) {
    if (batch_full() && (under_way() > 0 || steady < last_end_ + plan_.batch_sleep)) return 0;
    room = std::min(room, plan_.batch_size - started_ % plan_.batch_size);
  }
  return room;
}

void RolloutWindow::OnStarted(uint32_t nodes) { started_ += nodes; }

void RolloutWindow::OnEnded(StartEnd how, absl::Duration steady) {
  last_end_ = std::max(last_end_, steady);
  switch (how) {
    case StartEnd::kSucceeded:
      ++succeeded_;
      if (succeeded_ == plan_.canary) canary_end_ = steady;
      break;
    case StartEnd::kDeclined:
      ++declined_;
      break;
    case StartEnd::kFailed:
      if (in_canary()) ++canaries_failed_;  // nobody else starts before the canaries have succeeded
      ++failed_;
      break;
  }
}

// The time before which nobody beyond the canary starts.
absl::Duration RolloutWindow::canary_over() const {
  return canary_end_ == -absl::InfiniteDuration() ? canary_end_ : canary_end_ + plan_.canary_wait;
}

std::optional<absl::Duration> RolloutWindow::NextDeadline(uint32_t waiting) const {
  // While the wait after the canary lasts, and only then, nobody is under way and some wait.
  if (plan_.canary_wait > absl::ZeroDuration() && succeeded_ == plan_.canary && under_way() == 0) {
    const absl::Duration over = canary_over();
    if (Startable(waiting, over) > 0) return over;
  }
  if (!batch_full() || under_way() > 0) return std::nullopt;
  if (plan_.batch_sleep <= absl::ZeroDuration()) return std::nullopt;  // the end itself was news
  const absl::Duration over = last_end_ + plan_.batch_sleep;
  if (Startable(waiting, over) == 0) return std::nullopt;
  return over;
}

std::string RolloutWindow::StopReason() const {
  if (canaries_failed_ > 0) {
    return absl::StrCat("canary: ", canaries_failed_, " of ", plan_.canary, " did not succeed");
  }
  if (plan_.max_failures > 0 && failed_ >= plan_.max_failures) {
    return absl::StrCat(failed_, failed_ == 1 ? " node" : " nodes", " failed (max_failures ",
                        plan_.max_failures, ")");
  }
  return "";
}

}  // namespace orch::controller
