// SPDX-License-Identifier: Apache-2.0
#include "cli/groups.h"

#include <gtest/gtest.h>

#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/job_groups.h"
#include "cli/text.h"

namespace orch::cli {
namespace {

using orch::v1::JobGroup;
using orch::v1::ResourceChange;

Terminal Plain(int width = 80) {
  Terminal terminal{std::cout, std::cerr};
  terminal.out_is_tty = true;
  terminal.unicode = true;
  terminal.width = width;
  return terminal;
}

ResourceChange Change(const std::string& resource, const std::string& message) {
  ResourceChange change;
  change.set_resource(resource);
  change.set_property("content");
  change.set_message(message);
  return change;
}

std::string Shown(const std::vector<JobGroup>& groups, const Terminal& terminal,
                  Output output = Output::kTable, bool verbose = false, bool quiet = false) {
  return absl::StrJoin(GroupsLines(terminal, LookFor(terminal, output, verbose), groups, quiet),
                       "\n");
}

JobGroup Changed(int nodes) {
  JobGroup group;
  group.set_state(orch::v1::NODE_STATE_SUCCEEDED);
  group.set_verdict(orch::v1::PUPPET_RUN_VERDICT_CHANGED);
  group.set_count(nodes);
  for (int i = 1; i <= nodes; ++i) group.add_nodes(absl::StrCat("web", i));
  return group;
}

constexpr char kDigest[] =
    "{sha256}5eb63bbbe01eeed093cb22bb8f5acdc3e9f9a7ff6cf6fd8e7f3d7a27b6f3c4d1";

TEST(ShortDigestsTest, OnlyDigestsAreCut) {
  EXPECT_EQ(ShortDigests(absl::StrCat("changed '", kDigest, "'"), true),
            "changed '{sha256}5eb63bbb…'");
  EXPECT_EQ(ShortDigests(absl::StrCat("changed '", kDigest, "'"), false),
            "changed '{sha256}5eb63bbb...'");
  EXPECT_EQ(ShortDigests("deadbeef01 and abcdefabcdefabcdefabcdefabcdefgh", true),
            "deadbeef01 and abcdefabcdefabcdefabcdefabcdefgh");
}

TEST(GroupsTest, ABlockForEachThingThatHappened) {
  JobGroup failed;
  failed.set_state(orch::v1::NODE_STATE_FAILED);
  failed.set_verdict(orch::v1::PUPPET_RUN_VERDICT_COMPILE_FAILED);
  failed.set_reason("puppet_failed");
  failed.set_count(1);
  failed.add_nodes("db1");
  failed.set_cause(
      "Could not retrieve catalog from remote server: Error 500 on SERVER: Server Error: "
      "Evaluation Error: Unknown variable: 'x'. (file: /site.pp, line: 2, column: 1) on node db1");
  failed.set_file("/site.pp");
  failed.set_line(2);
  JobGroup changed = Changed(3);
  *changed.add_changes() =
      Change("File[/etc/motd]", absl::StrCat("content changed '", kDigest, "'"));
  changed.mutable_change_set()->set_refreshes(2);
  EXPECT_EQ(Shown({failed, changed}, Plain()),
            "COMPILE_FAILED  1 node  puppet failed: db1\n"
            "    ! Unknown variable: 'x'.\n"
            "      at /site.pp:2\n"
            "CHANGED        3 nodes  web[1-3]\n"
            "    File[/etc/motd]/content: content changed '{sha256}5eb63bbb…'\n"
            "    and 2 refreshes");
  EXPECT_EQ(Shown({changed}, Plain(), Output::kTable, false, /*quiet=*/true), "");
}

TEST(GroupsTest, NoLineIsWiderThanTheTerminal) {
  JobGroup group = Changed(1);
  group.clear_nodes();
  for (int i = 0; i < 50; ++i) group.add_nodes(absl::StrCat("host-", std::string(i, 'x')));
  *group.add_changes() = Change("File[/" + std::string(100, 'p') + "]", "changed");
  ResourceChange diff = Change("File[/etc/motd]", "changed");
  diff.set_diff("--- a\n+++ b\n+" + std::string(200, 'd'));
  *group.add_changes() = diff;
  JobGroup failed = group;
  failed.set_state(orch::v1::NODE_STATE_FAILED);
  failed.set_cause("Could not evaluate: " + std::string(90, 'w') + " and more words, 日本語");
  failed.set_file("/" + std::string(120, 'f'));
  for (const int width : {20, 30, 80}) {
    const Terminal terminal = Plain(width);
    for (const std::string& line :
         GroupsLines(terminal, LookFor(terminal, Output::kTable, false), {failed, group}, false)) {
      EXPECT_LE(Columns(line), static_cast<size_t>(width)) << line;
    }
  }
}

TEST(GroupsTest, ADifferenceIsLines) {
  JobGroup group = Changed(1);
  ResourceChange change = Change("File[/a]", "content changed");
  change.set_diff("\n--- /a\n+++ /tmp/b\n@@ -1 +1 @@\n-old\n+new\n");
  *group.add_changes() = change;
  Terminal terminal = Plain();
  EXPECT_EQ(Shown({group}, terminal),
            "CHANGED        1 node  web1\n    File[/a]/content: content changed\n        --- /a\n"
            "        +++ /tmp/b\n        @@ -1 +1 @@\n        -old\n        +new");
  terminal.color = true;
  EXPECT_NE(Shown({group}, terminal).find("\x1b[31m        -old\x1b[0m"), std::string::npos);
  group.mutable_changes(0)->clear_diff();
  group.mutable_changes(0)->set_diff_omitted("not_permitted");
  EXPECT_NE(Shown({group}, Plain()).find("who has the right job.diff"), std::string::npos);
}

TEST(GroupsTest, BookkeepingIsCountedUnlessAskedFor) {
  orch::v1::JobNode node;
  node.mutable_result()->mutable_puppet_run();
  google::protobuf::RepeatedPtrField<ResourceChange> changes;
  *changes.Add() = Change("File[/a]", "current_value 'x', should be 'y' (noop)");
  ResourceChange* refresh = changes.Add();
  refresh->set_resource("Class[Main]");
  refresh->set_message("Would have triggered 'refresh' from 1 event");
  const Terminal terminal = Plain();
  const auto shown = [&](bool verbose) {
    return absl::StrJoin(
        ChangesLines(terminal, LookFor(terminal, Output::kTable, verbose), changes, 0), "\n");
  };
  EXPECT_EQ(shown(false).find("Class[Main]"), std::string::npos);
  EXPECT_NE(shown(false).find("and 1 refresh: -v shows them"), std::string::npos) << shown(false);
  EXPECT_NE(shown(true).find("Class[Main]"), std::string::npos);
}

// Judged by: seven change sets of five changes over 3,000 nodes fit 60 lines.
TEST(GroupsTest, AFleetFitsAScreen) {
  api::JobGroups groups;
  for (int i = 0; i < 3000; ++i) {
    orch::v1::JobNode node;
    node.set_node(absl::StrCat("node", i, ".example.net"));
    node.set_state(orch::v1::NODE_STATE_SUCCEEDED);
    orch::v1::PuppetRunResult* run = node.mutable_result()->mutable_puppet_run();
    run->set_verdict(orch::v1::PUPPET_RUN_VERDICT_NOOP_PENDING);
    run->mutable_change_set()->set_digest(absl::StrCat(i % 7));
    for (int c = 0; c < 5; ++c) {
      *run->add_changes() = Change(absl::StrCat("File[/etc/", i % 7, "/", c, "]"), "would change");
    }
    groups.Add(node);
  }
  const std::vector<JobGroup> taken = groups.Take();
  ASSERT_EQ(taken.size(), 7u);
  const Terminal terminal = Plain();
  const auto lines = GroupsLines(terminal, LookFor(terminal, Output::kTable, false), taken, false);
  EXPECT_EQ(lines.size(), 7u * 6u);
}

TEST(GroupsTest, OnlySoManyGroupsAreShown) {
  std::vector<JobGroup> groups(kGroupsShownMax + 3, Changed(2));
  const Terminal terminal = Plain();
  const auto lines = GroupsLines(terminal, LookFor(terminal, Output::kTable, false), groups, false);
  EXPECT_EQ(lines.size(), kGroupsShownMax + 1);
  EXPECT_EQ(lines.back(), "… and 3 more groups with 6 nodes: -o json has all");
}

}  // namespace
}  // namespace orch::cli
