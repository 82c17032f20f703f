// SPDX-License-Identifier: Apache-2.0
#include "api/job_groups.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace orch::api {
namespace {

using orch::v1::JobGroup;
using orch::v1::JobNode;

JobNode Failed(const std::string& name, const std::string& error, const std::string& file = "") {
  JobNode node;
  node.set_node(name);
  node.set_state(orch::v1::NODE_STATE_FAILED);
  orch::v1::PuppetRunResult* run = node.mutable_result()->mutable_puppet_run();
  run->set_verdict(orch::v1::PUPPET_RUN_VERDICT_FAILED);
  orch::v1::PuppetRunError* cause = run->add_errors();
  cause->set_message(error);
  cause->set_file(file);
  cause->set_line(7);
  run->add_errors()->set_message("a consequence");
  return node;
}

JobNode Changed(const std::string& name, const std::string& digest, const std::string& values,
                const std::string& diff = "") {
  JobNode node;
  node.set_node(name);
  node.set_state(orch::v1::NODE_STATE_SUCCEEDED);
  orch::v1::PuppetRunResult* run = node.mutable_result()->mutable_puppet_run();
  run->set_verdict(orch::v1::PUPPET_RUN_VERDICT_CHANGED);
  run->mutable_change_set()->set_digest(digest);
  run->mutable_change_set()->set_values_digest(values);
  run->mutable_change_set()->set_size(1);
  orch::v1::ResourceChange* change = run->add_changes();
  change->set_resource("File[/etc/motd]");
  change->set_property("content");
  change->set_diff(diff);
  return node;
}

std::vector<JobGroup> GroupsOf(const std::vector<JobNode>& nodes) {
  JobGroups groups;
  for (const JobNode& node : nodes) groups.Add(node);
  return groups.Take();
}

TEST(CauseShapeTest, LeavesOutWhatIsTheNodesOwn) {
  EXPECT_EQ(CauseShape("no space on web1 (17 KiB left)", "web1"),
            CauseShape("no space on web2 (204 KiB left)", "web2"));
  EXPECT_EQ(CauseShape("checksum 5eb63bbbe01eeed0 differs", "a"),
            CauseShape("checksum 9f86d081884c7d65 differs", "b"));
  EXPECT_NE(CauseShape("deadbeef is a word", "a"), CauseShape("cafebabe is a word", "a"));
  EXPECT_NE(CauseShape("no space left", "a"), CauseShape("no route to host", "a"));
  EXPECT_EQ(CauseShape("v1.20.3", ""), "v#.#.#");
  EXPECT_EQ(CauseShape("", "a"), "");
}

TEST(JobGroupsTest, FailuresAreTogetherByTheirCause) {
  const auto groups = GroupsOf({Failed("b", "could not start nginx: 12 tries", "/site.pp"),
                                Failed("a", "could not start nginx: 7 tries", "/site.pp"),
                                Failed("c", "could not start nginx: 7 tries", "/other.pp")});
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].count(), 2u);
  EXPECT_EQ(groups[0].nodes(0), "a");
  EXPECT_EQ(groups[0].nodes(1), "b");
  EXPECT_EQ(groups[0].cause(), "could not start nginx: 12 tries");
  EXPECT_EQ(groups[0].file(), "/site.pp");
  EXPECT_EQ(groups[0].line(), 7u);
  EXPECT_EQ(groups[1].nodes(0), "c");
}

TEST(JobGroupsTest, RunsAreTogetherByTheirChangeSetAndByTheirDifferences) {
  EXPECT_EQ(GroupsOf({Changed("a", "x", "1"), Changed("b", "x", "2")}).size(), 1u);
  EXPECT_EQ(GroupsOf({Changed("a", "x", "1"), Changed("b", "y", "1")}).size(), 2u);
  const auto groups = GroupsOf({Changed("a", "x", "1", "-old"), Changed("b", "x", "2", "-older")});
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].changes(0).diff(), "-old");
}

TEST(JobGroupsTest, RefreshesAndSkippedResourcesAreNoChanges) {
  JobNode node = Changed("a", "x", "1");
  orch::v1::PuppetRunResult* run = node.mutable_result()->mutable_puppet_run();
  run->add_changes()->set_message("Would have triggered 'refresh' from 1 event");
  run->add_changes()->set_status(orch::v1::RESOURCE_CHANGE_STATUS_SKIPPED);
  const auto groups = GroupsOf({node});
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0].changes_size(), 1);
  EXPECT_EQ(groups[0].changes_omitted(), 0u);
}

TEST(JobGroupsTest, TheSetsSizeTellsWhatIsNotAmongTheChanges) {
  JobNode node = Changed("a", "x", "1");
  orch::v1::PuppetRunResult* run = node.mutable_result()->mutable_puppet_run();
  for (int i = 0; i < kGroupChangesMax + 5; ++i) run->add_changes()->set_property("mode");
  run->mutable_change_set()->set_size(100);
  const auto groups = GroupsOf({node});
  EXPECT_EQ(groups[0].changes_size(), kGroupChangesMax);
  EXPECT_EQ(groups[0].changes_omitted(), 80u);
}

TEST(JobGroupsTest, WhatIsWrongComesFirstAndManyBeforeFew) {
  JobNode silent;
  silent.set_node("d");
  silent.set_state(orch::v1::NODE_STATE_NO_RESPONSE);
  JobNode refused;
  refused.set_node("e");
  refused.set_state(orch::v1::NODE_STATE_REFUSED);
  refused.set_reason("disabled");
  JobNode waiting;
  waiting.set_node("f");
  const auto groups = GroupsOf({waiting, Changed("a", "x", "1"), Changed("b", "y", "1"),
                                Changed("c", "y", "1"), refused, silent, Failed("z", "no")});
  std::string order;
  for (const JobGroup& group : groups) order += group.nodes(0);
  EXPECT_EQ(order, "zdebaf");
}

TEST(JobGroupsTest, ThereAreOnlySoMany) {
  JobGroups groups;
  for (size_t i = 0; i < kJobGroupsMax + 100; ++i) {
    groups.Add(Changed(absl::StrCat("n", i), absl::StrCat("digest", i), ""));
  }
  uint32_t nodes = 0;
  const auto taken = groups.Take();
  for (const JobGroup& group : taken) nodes += group.count();
  EXPECT_EQ(taken.size(), kJobGroupsMax + 1);
  EXPECT_EQ(nodes, kJobGroupsMax + 100);
  EXPECT_EQ(taken[0].count(), 100u);
  EXPECT_EQ(taken[0].changes_size(), 0);
}

TEST(JobGroupsTest, TheirBytesAreBounded) {
  JobGroups groups;
  for (int i = 0; i < 100; ++i) {
    groups.Add(Changed(absl::StrCat("n", i), absl::StrCat("digest", i), absl::StrCat(i),
                       std::string(64 << 10, 'd')));
  }
  size_t bytes = 0;
  uint32_t omitted = 0;
  for (const JobGroup& group : groups.Take()) {
    bytes += group.ByteSizeLong();
    omitted += group.changes_omitted();
  }
  EXPECT_LE(bytes, kGroupsBytesMax + (64 << 10));
  EXPECT_GT(omitted, 0u);
}

}  // namespace
}  // namespace orch::api
