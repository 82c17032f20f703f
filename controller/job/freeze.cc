// SPDX-License-Identifier: Apache-2.0
#include "controller/job/freeze.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "api/quantity.h"
#include "base/status.h"
#include "controller/job/rollout.h"

namespace orch::controller {
namespace {

std::string Nodes(size_t count) { return absl::StrCat(count, count == 1 ? " node" : " nodes"); }

absl::Status CheckConfirmed(size_t count, const FreezeInput& input, const orch::v1::JobSpec& spec) {
  const auto refuse = [count](absl::string_view reason, absl::string_view why) {
    return api::Precondition(reason, "NODE_COUNT", absl::StrCat(count),
                             absl::StrCat("the job is about ", Nodes(count), ", ", why));
  };
  if (spec.expect_nodes() != 0 && count != spec.expect_nodes()) {
    return refuse("NODE_COUNT_NOT_CONFIRMED", absl::StrCat(spec.expect_nodes(), " were expected"));
  }
  if (spec.at_most_nodes() != 0 && count > spec.at_most_nodes()) {
    return refuse("NODE_COUNT_NOT_CONFIRMED",
                  absl::StrCat("at most ", spec.at_most_nodes(), " were confirmed"));
  }
  const bool confirmed = spec.expect_nodes() != 0 || spec.at_most_nodes() != 0;
  if (input.mutating && !confirmed && count > input.confirm_above) {
    return refuse("CONFIRMATION_REQUIRED",
                  absl::StrCat("more than ", input.confirm_above, " need their number confirmed"));
  }
  return absl::OkStatus();
}

// A limit is of the nodes that the rule lets be under way at once, by whichever jobs.
absl::Status CheckPolicyLimits(const FreezeInput& input) {
  if (input.max_nodes == 0 && input.max_percent == 0) return absl::OkStatus();
  size_t count = input.under_way.size();
  for (const std::string& node : input.willing) count += input.under_way.contains(node) ? 0 : 1;
  const auto refuse = [&](absl::string_view limit) {
    const std::string others =
        input.under_way.empty()
            ? ""
            : absl::StrCat(" while ", input.under_way.size(), " are under way by the same rule");
    return api::Error(absl::StatusCode::kPermissionDenied, "POLICY_LIMIT",
                      absl::StrCat("the job would go to ", Nodes(input.willing.size()), others,
                                   ", the policy allows ", limit));
  };
  if (input.willing.empty()) return absl::OkStatus();
  if (input.max_nodes != 0 && count > input.max_nodes) {
    return refuse(absl::StrCat("at most ", input.max_nodes));
  }
  if (input.max_percent == 0) return absl::OkStatus();
  const size_t allowed = std::max<size_t>(1, input.present * input.max_percent / 100);
  if (count <= allowed) return absl::OkStatus();
  return refuse(absl::StrCat("at most ", input.max_percent, "% of ", input.present));
}

}  // namespace

absl::StatusOr<std::vector<JobNodeStart>> Freeze(FreezeInput input, const orch::v1::JobSpec& spec) {
  const size_t resolved = input.willing.size() + input.ended.size();
  if (resolved > kJobNodesMax) {
    return api::Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_NODES",
                      absl::StrCat("the job would be about ", Nodes(resolved),
                                   ", it may be at most ", kJobNodesMax));
  }
  if (spec.rollout().has_limit()) {
    ORCH_ASSIGN_OR_RETURN(
        const uint32_t limit,
        api::ResolveQuantity(spec.rollout().limit(), static_cast<uint32_t>(resolved),
                             "spec.rollout.limit"));
    input.willing = ChooseNodes(std::move(input.willing), limit, spec.rollout().limit_seed());
    // Nodes that can't be asked fill up what is left, so that "5 of 6" never hides that a node is
    // dead.
    const size_t room = limit - input.willing.size();
    std::sort(input.ended.begin(), input.ended.end(),
              [](const JobNodeStart& a, const JobNodeStart& b) { return a.node < b.node; });
    if (input.ended.size() > room) input.ended.resize(room);
  }
  const size_t willing = input.willing.size();
  ORCH_RETURN_IF_ERROR(CheckConfirmed(willing + input.ended.size(), input, spec));
  ORCH_RETURN_IF_ERROR(CheckPolicyLimits(input));
  std::vector<JobNodeStart> list = std::move(input.ended);
  for (std::string& node : input.willing) {
    list.emplace_back();
    list.back().node = std::move(node);
  }
  std::sort(list.begin(), list.end(),
            [](const JobNodeStart& a, const JobNodeStart& b) { return a.node < b.node; });
  return list;
}

}  // namespace orch::controller
