// SPDX-License-Identifier: Apache-2.0
#include "controller/gate/validate.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "google/rpc/error_details.pb.h"

namespace orch::controller {
namespace {

using orch::v1::JobSpec;

std::string FieldOf(const absl::Status& status) {
  google::rpc::BadRequest bad;
  const auto payload = status.GetPayload(absl::StrCat(api::kTypeUrlPrefix, "BadRequest"));
  if (!payload.has_value() || !bad.ParseFromString(std::string(*payload))) return "";
  return bad.field_violations(0).field();
}

JobSpec Ping() {
  JobSpec spec;
  spec.mutable_action()->mutable_node_ping();
  return spec;
}

// The field that is wrong, or empty.
std::string Wrong(JobSpec spec) {
  std::string printed;
  const absl::Status status = ValidateSpec({"main", "lab"}, &spec, &printed);
  EXPECT_EQ(status.ok(), FieldOf(status).empty()) << status;
  return FieldOf(status);
}

TEST(ValidateTest, TheLeastIsEnough) {
  JobSpec spec = Ping();
  std::string printed = "?";
  ASSERT_TRUE(ValidateSpec({"main"}, &spec, &printed).ok());
  EXPECT_EQ(spec.target().collective(), "main");
  EXPECT_EQ(printed, "");
}

TEST(ValidateTest, ActionsAreChecked) {
  EXPECT_EQ(Wrong(JobSpec()), "spec.action");
  JobSpec spec;
  spec.mutable_action()->mutable_node_facts();
  EXPECT_TRUE(absl::StartsWith(Wrong(spec), "spec.action.")) << Wrong(spec);
  spec.mutable_action()->mutable_puppet_run()->add_tags("no tag!");
  EXPECT_TRUE(absl::StartsWith(Wrong(spec), "spec.action.")) << Wrong(spec);
}

TEST(ValidateTest, UnknownFieldsAreRefused) {
  JobSpec spec = Ping();
  spec.GetReflection()->MutableUnknownFields(&spec)->AddVarint(4711, 1);
  EXPECT_EQ(Wrong(spec), "spec");
}

TEST(ValidateTest, TargetsNameTheClauseAndTheColumn) {
  JobSpec spec = Ping();
  spec.mutable_target()->add_select("role=web and (");
  EXPECT_EQ(Wrong(spec), "spec.target.select");
  spec = Ping();
  spec.mutable_target()->add_identities("/(/");
  EXPECT_EQ(Wrong(spec), "spec.target.identities");
  spec = Ping();
  spec.mutable_target()->set_collective("Main");
  EXPECT_EQ(Wrong(spec), "spec.target.collective");
  spec.mutable_target()->set_collective("lab");
  EXPECT_EQ(Wrong(spec), "");
  spec.mutable_target()->add_select(std::string(kTargetBytesMax, 'x'));
  EXPECT_EQ(Wrong(spec), "spec.target");
}

TEST(ValidateTest, NamesAreCheckedSortedAndMadeUnique) {
  JobSpec spec = Ping();
  for (const char* node : {"b", "a", "b"}) spec.add_nodes(node);
  std::string printed;
  ASSERT_TRUE(ValidateSpec({"main"}, &spec, &printed).ok());
  ASSERT_EQ(spec.nodes_size(), 2);
  EXPECT_EQ(spec.nodes(0), "a");
  EXPECT_EQ(spec.nodes(1), "b");
  spec.add_nodes("Not A Node");
  EXPECT_EQ(Wrong(spec), "spec.nodes[2]");
  spec.clear_nodes();
  for (int i = 0; i <= kSpecNodesMax; ++i) spec.add_nodes("n");
  EXPECT_EQ(Wrong(spec), "spec.nodes");
}

TEST(ValidateTest, AllThatIsWrongIsToldAtOnce) {
  JobSpec spec = Ping();
  spec.mutable_target()->add_facts("role=web");
  spec.mutable_target()->add_facts("role=~(");
  spec.add_nodes("Not A Node");
  spec.set_reason("two\nlines");
  std::string printed;
  const absl::Status status = ValidateSpec({"main"}, &spec, &printed);
  google::rpc::BadRequest bad;
  ASSERT_TRUE(bad.ParseFromString(
      std::string(*status.GetPayload(absl::StrCat(api::kTypeUrlPrefix, "BadRequest")))));
  std::vector<std::string> fields;
  for (const auto& violation : bad.field_violations()) fields.push_back(violation.field());
  EXPECT_EQ(fields,
            (std::vector<std::string>{"spec.target.facts[1]", "spec.nodes[0]", "spec.reason"}));
  EXPECT_EQ(api::ReasonOf(status), "INVALID_ARGUMENT");
}

TEST(ValidateTest, LabelsAndOnBehalfOfAreShortPlainText) {
  JobSpec spec = Ping();
  (*spec.mutable_labels())["ticket/os.1_x-y"] = "OPS-1 übel";
  spec.set_on_behalf_of("Alice <alice@example.net>");
  EXPECT_EQ(Wrong(spec), "");
  for (const std::string& key : {std::string(), std::string("Upper"), std::string("-x"),
                                 std::string("a b"), std::string(64, 'k')}) {
    JobSpec bad = spec;
    (*bad.mutable_labels())[key] = "v";
    EXPECT_EQ(Wrong(bad), "spec.labels") << key;
  }
  (*spec.mutable_labels())["long"] = std::string(kLabelBytesMax + 1, 'v');
  EXPECT_EQ(Wrong(spec), "spec.labels[long]");
  (*spec.mutable_labels())["long"] = "two\nlines";
  EXPECT_EQ(Wrong(spec), "spec.labels[long]");
  spec.mutable_labels()->erase("long");
  for (size_t i = 0; i < kLabelsMax; ++i) (*spec.mutable_labels())[absl::StrCat("k", i)] = "";
  EXPECT_EQ(Wrong(spec), "spec.labels");
  spec.clear_labels();
  spec.set_on_behalf_of(std::string(kOnBehalfOfBytesMax + 1, 'a'));
  EXPECT_EQ(Wrong(spec), "spec.on_behalf_of");
}

TEST(ValidateTest, RolloutsAreChecked) {
  const auto wrong = [](auto set) {
    JobSpec spec = Ping();
    set(spec.mutable_rollout());
    return Wrong(spec);
  };
  using R = orch::v1::Rollout*;
  EXPECT_EQ(wrong([](R r) { r->mutable_limit(); }), "spec.rollout.limit");
  EXPECT_EQ(wrong([](R r) { r->mutable_limit()->set_percent(200); }), "spec.rollout.limit");
  EXPECT_EQ(wrong([](R r) { r->mutable_limit()->set_percent(20); }), "");
  EXPECT_EQ(wrong([](R r) { r->set_limit_seed(std::string(200, 's')); }),
            "spec.rollout.limit_seed");
  EXPECT_EQ(wrong([](R r) { r->mutable_max_failures()->set_count(0); }),
            "spec.rollout.max_failures");
  EXPECT_EQ(wrong([](R r) { r->mutable_batch_size()->set_percent(-1); }),
            "spec.rollout.batch_size");
  EXPECT_EQ(wrong([](R r) { r->mutable_batch_sleep()->set_seconds(-1); }),
            "spec.rollout.batch_sleep");
  EXPECT_EQ(wrong([](R r) { r->set_unlimited(false); }), "spec.rollout.unlimited");
  EXPECT_EQ(wrong([](R r) { r->set_concurrency(0); }), "spec.rollout.concurrency");
  EXPECT_EQ(wrong([](R r) { r->mutable_canary_wait()->set_seconds(5); }),
            "spec.rollout.canary_wait");
}

TEST(ValidateTest, TimesCountsAndReasonsAreChecked) {
  JobSpec spec = Ping();
  spec.mutable_timeout()->set_seconds(-1);
  EXPECT_EQ(Wrong(spec), "spec.timeout");
  spec.mutable_timeout()->set_seconds(kTimeoutMaxSeconds + 1);
  EXPECT_EQ(Wrong(spec), "spec.timeout");
  spec.mutable_timeout()->set_seconds(kTimeoutMaxSeconds);
  EXPECT_EQ(Wrong(spec), "");
  spec.mutable_timeout()->set_nanos(1'000'000'000);
  EXPECT_EQ(Wrong(spec), "spec.timeout");
  spec = Ping();
  spec.set_expect_nodes(3);
  spec.set_at_most_nodes(2);
  EXPECT_EQ(Wrong(spec), "spec.expect_nodes");
  spec = Ping();
  spec.set_reason("two\nlines");
  EXPECT_EQ(Wrong(spec), "spec.reason");
  spec.set_reason(std::string(kReasonMax + 1, 'r'));
  EXPECT_EQ(Wrong(spec), "spec.reason");
  spec.set_reason("Änderung 17");
  EXPECT_EQ(Wrong(spec), "");
}

TEST(ValidateTest, IdempotencyKeys) {
  EXPECT_TRUE(ValidateIdempotencyKey("").ok());
  EXPECT_TRUE(ValidateIdempotencyKey("deploy-2026.01_a").ok());
  EXPECT_TRUE(ValidateIdempotencyKey(std::string(128, 'k')).ok());
  for (const std::string& key : {std::string(129, 'k'), std::string("a b"), std::string("a/b"),
                                 std::string("\xC3\xA9"), std::string("a\0b", 3)}) {
    EXPECT_EQ(FieldOf(ValidateIdempotencyKey(key)), "idempotency_key");
  }
}

TEST(ValidateTest, NothingUnknownIsIgnored) {
  orch::v1::DiscoverNodesRequest request;
  request.mutable_target()->set_collective("main");
  EXPECT_TRUE(ValidateKnown(request).ok());
  request.GetReflection()->MutableUnknownFields(&request)->AddVarint(99, 1);
  EXPECT_EQ(ValidateKnown(request).message(),
            "DiscoverNodesRequest: unknown field 99 in DiscoverNodesRequest");
  request.GetReflection()->MutableUnknownFields(&request)->Clear();
  orch::v1::Target* target = request.mutable_target();
  target->GetReflection()->MutableUnknownFields(target)->AddVarint(98, 1);
  EXPECT_EQ(ValidateKnown(request).code(), absl::StatusCode::kInvalidArgument);
}

TEST(ValidateTest, ActionNames) {
  for (const char* name : {"puppet.run", "job.get", "rollout.unlimited"}) {
    EXPECT_TRUE(ValidateActionName("action", name).ok()) << name;
  }
  for (const char* name : {"", "puppet", "puppet.", ".run", "Puppet.run", "a.b.c", "a.b c"}) {
    EXPECT_FALSE(ValidateActionName("action", name).ok()) << name;
  }
}

TEST(ValidateTest, PageSizes) {
  EXPECT_EQ(*PageSize(0, 50, 1000), 50);
  EXPECT_EQ(*PageSize(7, 50, 1000), 7);
  EXPECT_EQ(*PageSize(5000, 50, 1000), 1000);
  EXPECT_EQ(FieldOf(PageSize(-1, 50, 1000).status()), "page_size");
}

}  // namespace
}  // namespace orch::controller
