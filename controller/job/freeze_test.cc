// SPDX-License-Identifier: Apache-2.0
#include "controller/job/freeze.h"

#include <gtest/gtest.h>

#include "api/errors.h"
#include "google/rpc/error_details.pb.h"

namespace orch::controller {
namespace {

FreezeInput Willing(int count) {
  FreezeInput input;
  for (int i = 0; i < count; ++i) input.willing.push_back("n" + std::to_string(1000 + i));
  input.confirm_above = 50;
  input.present = count;
  return input;
}

JobNodeStart Silent(const std::string& node) {
  return {.node = node, .state = orch::v1::NODE_STATE_NO_RESPONSE};
}

std::vector<std::string> Names(const std::vector<JobNodeStart>& list) {
  std::vector<std::string> names;
  for (const JobNodeStart& start : list) names.push_back(start.node);
  return names;
}

TEST(Freeze, MergesByName) {
  FreezeInput input = Willing(0);
  input.willing = {"b", "d"};
  input.ended = {Silent("c"), Silent("a")};
  auto list = Freeze(input, {});
  ASSERT_TRUE(list.ok());
  EXPECT_EQ(Names(*list), (std::vector<std::string>{"a", "b", "c", "d"}));
  EXPECT_EQ((*list)[1].state, orch::v1::NODE_STATE_PENDING);
  EXPECT_EQ((*list)[2].state, orch::v1::NODE_STATE_NO_RESPONSE);
}

TEST(Freeze, ManyNodesWantACount) {
  orch::v1::JobSpec spec;
  EXPECT_TRUE(Freeze(Willing(50), spec).ok());
  const absl::Status refused = Freeze(Willing(51), spec).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(api::ReasonOf(refused), "CONFIRMATION_REQUIRED");
  const auto payload = refused.GetPayload("type.googleapis.com/google.rpc.PreconditionFailure");
  google::rpc::PreconditionFailure failure;
  ASSERT_TRUE(payload.has_value() && failure.ParseFromString(std::string(*payload)));
  EXPECT_EQ(failure.violations(0).subject(), "51");
  spec.set_at_most_nodes(51);
  EXPECT_TRUE(Freeze(Willing(51), spec).ok());
  spec.set_at_most_nodes(50);
  EXPECT_EQ(api::ReasonOf(Freeze(Willing(51), spec).status()), "NODE_COUNT_NOT_CONFIRMED");
  spec.clear_at_most_nodes();
  spec.set_expect_nodes(51);
  EXPECT_TRUE(Freeze(Willing(51), spec).ok());
  EXPECT_FALSE(Freeze(Willing(50), spec).ok());
  EXPECT_FALSE(Freeze(Willing(52), spec).ok());
}

TEST(Freeze, SilentNodesCountToo) {
  FreezeInput input = Willing(50);
  input.ended = {Silent("a")};
  EXPECT_EQ(Freeze(input, {}).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(Freeze, ReadOnlyNeedsNoCountButKeepsToOne) {
  FreezeInput input = Willing(500);
  input.mutating = false;
  orch::v1::JobSpec spec;
  EXPECT_TRUE(Freeze(input, spec).ok());
  spec.set_expect_nodes(7);
  EXPECT_FALSE(Freeze(input, spec).ok());
}

TEST(Freeze, TheLimitComesFirstAndPrefersTheWilling) {
  FreezeInput input = Willing(100);
  input.ended = {Silent("a"), Silent("z")};
  orch::v1::JobSpec spec;
  spec.mutable_rollout()->mutable_limit()->set_percent(10);
  auto list = Freeze(input, spec);
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->size(), 10u);
  EXPECT_EQ(list->front().node, "n1000");
  input.willing.resize(3);
  spec.mutable_rollout()->mutable_limit()->set_count(4);
  list = Freeze(input, spec);
  ASSERT_TRUE(list.ok());
  EXPECT_EQ(Names(*list), (std::vector<std::string>{"a", "n1000", "n1001", "n1002"}));
  spec.mutable_rollout()->mutable_limit()->set_count(0);
  EXPECT_EQ(Freeze(input, spec).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Freeze, PolicyLimits) {
  FreezeInput input = Willing(10);
  input.max_nodes = 9;
  EXPECT_EQ(api::ReasonOf(Freeze(input, {}).status()), "POLICY_LIMIT");
  EXPECT_EQ(Freeze(input, {}).status().code(), absl::StatusCode::kPermissionDenied);
  input.max_nodes = 10;
  EXPECT_TRUE(Freeze(input, {}).ok());
  input.max_percent = 50;
  EXPECT_FALSE(Freeze(input, {}).ok());
  input.present = 20;
  EXPECT_TRUE(Freeze(input, {}).ok());
  orch::v1::JobSpec spec;
  spec.mutable_rollout()->mutable_limit()->set_count(1);
  input.present = 10;
  input.max_percent = 1;
  EXPECT_TRUE(Freeze(input, spec).ok()) << "at least one";
}

TEST(Freeze, NobodyIsAList) {
  auto list = Freeze(Willing(0), {});
  ASSERT_TRUE(list.ok());
  EXPECT_TRUE(list->empty());
}

TEST(Freeze, ALimitCountsWhatIsUnderWayByTheSameRule) {
  FreezeInput input;
  input.willing = {"a", "b"};
  input.confirm_above = 50;
  input.max_percent = 20;
  input.present = 10;
  EXPECT_TRUE(Freeze(input, {}).ok());
  input.under_way = {"c"};
  const auto refused = Freeze(input, {});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(refused.status().message(),
            "the job would go to 2 nodes while 1 are under way by the same rule, the policy allows "
            "at most 20% of 10");
  input.under_way = {"a", "b"};
  EXPECT_TRUE(Freeze(input, {}).ok()) << "a node counts once";
}

}  // namespace
}  // namespace orch::controller
