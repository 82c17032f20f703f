// SPDX-License-Identifier: Apache-2.0
#include "api/catalog.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "orch/v1/job.pb.h"

namespace orch::api {
namespace {

TEST(CatalogTest, ReadsEachArmWithItsOptions) {
  const ActionInfo* run = FindAction("puppet.run");
  ASSERT_NE(run, nullptr);
  EXPECT_TRUE(run->mutates);
  EXPECT_EQ(run->run_timeout, absl::Seconds(3660));
  EXPECT_EQ(run->schema_digest.size(), 32u);
  const ActionInfo* ping = FindAction("node.ping");
  ASSERT_NE(ping, nullptr);
  EXPECT_FALSE(ping->mutates);
  EXPECT_EQ(ping->answer_timeout, absl::Seconds(2));
  EXPECT_NE(ping->schema_digest, run->schema_digest);
  EXPECT_EQ(FindAction("puppet.dance"), nullptr);
}

TEST(CatalogTest, EveryArmButExternalIsAnAction) {
  for (int i = 0; i < orch::v1::Action::descriptor()->field_count(); ++i) {
    const auto* arm = orch::v1::Action::descriptor()->field(i);
    if (arm->name() == "external") continue;
    bool found = false;
    for (const ActionInfo& info : Actions()) found = found || info.arm == arm;
    EXPECT_TRUE(found) << arm->name();
  }
}

TEST(CatalogTest, ParsesWords) {
  const auto action = Parse("puppet.run", {"noop=true", "tags=a,b", "tags=c", "timeout=5m"});
  ASSERT_TRUE(action.ok()) << action.status();
  EXPECT_TRUE(action->puppet_run().noop());
  EXPECT_EQ(action->puppet_run().tags_size(), 3);
  EXPECT_EQ(action->puppet_run().timeout().seconds(), 300);
  EXPECT_TRUE(Validate(*action, "spec.action").ok());
}

TEST(CatalogTest, NamesWhatIsWrongWithWords) {
  EXPECT_EQ(Parse("puppet.run", {"nope=1"}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(Parse("puppet.run", {"nope=1"}).status().message().find("known: noop"),
            absl::string_view::npos);
  EXPECT_FALSE(Parse("puppet.run", {"noop"}).ok());
  EXPECT_NE(Parse("puppet.run", {"noop=true", "noop=false"}).status().message().find("twice"),
            absl::string_view::npos);
  EXPECT_FALSE(Parse("puppet.run", {"noop=yes"}).ok());
  EXPECT_FALSE(Parse("puppet.run", {"timeout=5"}).ok());
  EXPECT_NE(Parse("puppet.dance", {}).status().message().find("puppet.run"),
            absl::string_view::npos);
}

TEST(CatalogTest, ExternalActionsTakeJsonOrText) {
  const auto action = Parse("service.restart", {"name=nginx", "times=3"});
  ASSERT_TRUE(action.ok());
  EXPECT_EQ(NameOf(*action), "service.restart");
  EXPECT_TRUE(Mutates(*action));
  EXPECT_EQ(action->external().arguments().fields().at("times").number_value(), 3);
  EXPECT_TRUE(Validate(*action, "a").ok());
}

TEST(CatalogTest, ValidatesWithTheFieldsPath) {
  orch::v1::Action action;
  EXPECT_EQ(ReasonOf(Validate(action, "spec.action")), "INVALID_ARGUMENT");
  action.mutable_puppet_run()->add_tags("ok");
  action.mutable_puppet_run()->add_tags("--evil");
  const absl::Status status = Validate(action, "spec.action");
  EXPECT_NE(status.message().find("spec.action.puppet_run.tags[1]"), absl::string_view::npos)
      << status;
  action.Clear();
  action.mutable_node_facts();
  EXPECT_NE(Validate(action, "a").message().find("required"), absl::string_view::npos);
  action.mutable_puppet_disable()->set_message(std::string(201, 'x'));
  EXPECT_FALSE(Validate(action, "a").ok());
  action.mutable_puppet_disable()->set_message("line\nline");
  EXPECT_FALSE(Validate(action, "a").ok());
  action.mutable_external()->set_name("puppet.run");
  EXPECT_FALSE(Validate(action, "a").ok());
}

TEST(CatalogTest, RefusesUnknownFieldsAndEnumValuesAtAnyDepth) {
  orch::v1::Action action;
  action.mutable_puppet_run()->set_environment("prod");
  EXPECT_TRUE(RefuseUnknown(action).ok());
  action.mutable_puppet_run()
      ->GetReflection()
      ->MutableUnknownFields(action.mutable_puppet_run())
      ->AddVarint(999, 1);
  EXPECT_NE(RefuseUnknown(action).message().find("unknown field 999"), absl::string_view::npos);
  orch::v1::PuppetRunResult result;
  result.set_verdict(static_cast<orch::v1::PuppetRunVerdict>(77));
  EXPECT_FALSE(RefuseUnknown(result).ok());
}

TEST(CatalogTest, NamesWhatIsSetAside) {
  const auto* rollout = orch::v1::Rollout::descriptor();
  ASSERT_EQ(rollout->reserved_name_count(), 20) << "the API's list and the catalog's are one";
  for (int i = 0; i < rollout->reserved_name_count(); ++i) {
    orch::v1::JobSpec spec;
    orch::v1::Rollout* const set = spec.mutable_rollout();
    set->GetReflection()->MutableUnknownFields(set)->AddVarint(10 + i, 1);
    const absl::Status refused = RefuseUnknown(spec);
    EXPECT_EQ(ReasonOf(refused), "NOT_SUPPORTED");
    EXPECT_EQ(refused.message(), absl::StrCat("JobSpec.rollout.", rollout->reserved_name(i),
                                              " is not supported by this version"));
  }
}

TEST(CatalogTest, DigestsFollowTheArguments) {
  orch::v1::Action a, b;
  a.mutable_puppet_run()->set_noop(true);
  b.mutable_puppet_run()->set_noop(false);
  EXPECT_NE(ArgumentDigest(a), ArgumentDigest(b));
  EXPECT_EQ(ArgumentDigest(a).size(), 64u);
}

}  // namespace
}  // namespace orch::api
