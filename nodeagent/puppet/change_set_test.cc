// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/puppet/change_set.h"

#include <gtest/gtest.h>

#include <sstream>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "nodeagent/puppet/puppet_report.h"

namespace orch::nodeagent {
namespace {

using orch::v1::ChangeSet;

ChangedProperty Property(const std::string& resource, const std::string& desired,
                         const std::string& previous = "") {
  ChangedProperty out;
  out.resource = resource;
  out.property = "content";
  out.desired = desired;
  out.previous = previous;
  out.status = orch::v1::RESOURCE_CHANGE_STATUS_CHANGED;
  return out;
}

ChangeSet Made(const std::vector<ChangedProperty>& properties) {
  ChangeSetMaker maker;
  for (const ChangedProperty& one : properties) maker.Add(one);
  return maker.Make();
}

TEST(ChangeSetTest, TheDigestIsWhatTheApiSays) {
  EXPECT_EQ(Made({}).digest(), "");
  std::string tuple;
  for (const std::string text : {"File[/a]", "content", "new", "changed"}) {
    tuple += std::string(7, '\0') + static_cast<char>(text.size()) + text;
  }
  const ChangeSet set = Made({Property("File[/a]", "new", "old")});
  EXPECT_EQ(set.digest(), base::Sha256(base::Sha256(tuple)));
  EXPECT_EQ(set.size(), 1u);
  EXPECT_NE(set.digest(), set.values_digest());
}

TEST(ChangeSetTest, OrderAndDoublesDoNotMatter) {
  const ChangedProperty a = Property("File[/a]", "1"), b = Property("File[/b]", "2");
  EXPECT_EQ(Made({a, b}).digest(), Made({b, a, b}).digest());
  EXPECT_EQ(Made({b, a, b}).size(), 2u);
}

TEST(ChangeSetTest, WhatChangedMatters) {
  const ChangedProperty a = Property("File[/a]", "1");
  ChangedProperty noop = a;
  noop.status = orch::v1::RESOURCE_CHANGE_STATUS_NOOP;
  EXPECT_NE(Made({a}).digest(), Made({noop}).digest());
  EXPECT_NE(Made({a}).digest(), Made({Property("File[/a]", "2")}).digest());
  // No text runs into its neighbour.
  ChangedProperty shifted = a;
  shifted.resource = "File[/a]c";
  shifted.property = "ontent";
  EXPECT_NE(Made({a}).digest(), Made({shifted}).digest());
  EXPECT_EQ(Made({Property("File[/a]", "1", "x")}).digest(),
            Made({Property("File[/a]", "1", "y")}).digest());
  EXPECT_NE(Made({Property("File[/a]", "1", "x")}).values_digest(),
            Made({Property("File[/a]", "1", "y")}).values_digest());
}

TEST(ChangeSetTest, RefreshesAreCountedBesideIt) {
  ChangeSetMaker maker;
  maker.AddRefresh();
  EXPECT_EQ(maker.Make().refreshes(), 1u);
  EXPECT_EQ(maker.Make().size(), 0u);
  EXPECT_EQ(maker.Make().digest(), "");
}

// A report with one event of one resource, whose rest is not of the set.
std::string Report(const std::string& event, const std::string& rest = "") {
  return absl::StrCat(
      "--- !ruby/object:Puppet::Transaction::Report\nhost: vm\nconfiguration_version: 1\n"
      "transaction_uuid: 03a6e82c-652a-42c7-8c4b-3bc3e8d22b73\nreport_format: 12\n"
      "puppet_version: 7.23.0\nstatus: changed\nnoop: false\nnoop_pending: false\nlogs: []\n",
      rest,
      "resource_statuses:\n  File[/etc/motd]:\n    file: \"/site.pp\"\n    line: 4\n    failed: "
      "false\n"
      "    changed: true\n    skipped: false\n    events:\n    - property: content\n      status: "
      "success\n",
      event, "corrective_change: false\n");
}

ChangeSet SetOf(const std::string& report) {
  std::istringstream in(report);
  const auto parsed = ParsePuppetReport(in);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.ok() ? parsed->change_set : ChangeSet();
}

TEST(ChangeSetTest, OfAReportWithoutWhatIsTheRunsOwn) {
  const std::string values = "      previous_value: old\n      desired_value: new\n";
  const ChangeSet set = SetOf(Report(values + "      message: content changed\n"));
  EXPECT_EQ(set.digest(), Made({Property("File[/etc/motd]", "new", "old")}).digest());
  EXPECT_EQ(set.values_digest(), Made({Property("File[/etc/motd]", "new", "old")}).values_digest());
  EXPECT_FALSE(set.incomparable());
  EXPECT_EQ(set.digest(), SetOf(Report(values + "      message: something else\n"
                                                "      corrective_change: true\n"
                                                "      time: '2026-11-23T12:21:56+00:00'\n"))
                              .digest());
}

TEST(ChangeSetTest, SecretsAreNotThereAndSaySo) {
  const std::string report = Report(
      "      previous_value: \"[old secret redacted]\"\n      desired_value: \"[new secret "
      "redacted]\"\n      redacted: true\n      message: changed [redacted] to [redacted]\n");
  EXPECT_TRUE(SetOf(report).incomparable());
  std::istringstream in(report);
  const auto parsed = ParsePuppetReport(in);
  ASSERT_EQ(parsed->changes.size(), 1u);
  EXPECT_TRUE(parsed->changes[0].redacted());
  EXPECT_EQ(parsed->changes[0].desired_value(), "");
}

}  // namespace
}  // namespace orch::nodeagent
