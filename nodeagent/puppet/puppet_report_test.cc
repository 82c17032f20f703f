// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/puppet/puppet_report.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace orch::nodeagent {
namespace {

std::string Head(const std::string& status) {
  return absl::StrCat(
      "--- !ruby/object:Puppet::Transaction::Report\nhost: vm\n"
      "time: '2026-11-23T12:21:56.377591728+00:00'\nconfiguration_version: 1795436516\n"
      "transaction_uuid: 03a6e82c-652a-42c7-8c4b-3bc3e8d22b73\nreport_format: 12\n"
      "puppet_version: 7.23.0\nstatus: ",
      status, "\ntransaction_completed: true\nnoop: false\nnoop_pending: true\n",
      "environment: production\n");
}

constexpr char kLogs[] = R"(logs:
- level: notice
  message: hi there
  source: Puppet
  tags:
  - notice
  time: '2026-11-23T12:21:56.384371459+00:00'
  file:
  line:
- level: err
  message: 'change from ''notrun'' to [''0''] failed: returned
    1 instead of one of [0]'
  source: "/Stage[main]/Main/Exec[/bin/false]/returns"
  tags:
  - err
  time: '2026-11-23T12:21:56.393419009+00:00'
  file: "/tmp/pt/site.pp"
  line: 3
- level: err
  message: Permission denied
  source: Facter
  time: '2026-11-23T12:21:57.393419009+00:00'
)";

constexpr char kMetrics[] = R"(metrics:
  resources:
    name: resources
    label: Resources
    values:
    - - total
      - Total
      - 12
    - - failed
      - Failed
      - 1
    - - changed
      - Changed
      - 2
  time:
    name: time
    label: Time
    values:
    - - config_retrieval
      - Config retrieval
      - 0.25
)";

constexpr char kStatuses[] = R"(resource_statuses:
  File[/srv/skipped]:
    title: "/srv/skipped"
    file: "/site.pp"
    line: 4
    failed: false
    skipped: true
    events: []
  File[/srv/motd]:
    title: "/srv/motd"
    file: "/site.pp"
    line: 1
    containment_path:
    - Stage[main]
    failed: false
    changed: true
    skipped: false
    events:
    - audited: false
      property: ensure
      previous_value: absent
      desired_value:
      - '0'
      message: defined content
      status: success
      corrective_change: true
    - property: mode
      message: audited
      status: audit
  ? "File[/a very long key that Ruby writes as a complex one]"
  : title: x
    failed: true
    skipped: false
    events: []
    line: 9
  Exec[/bin/x]:
    failed: false
    skipped: false
    events:
    - property: returns
      message: would have run
      status: noop
    line: 3
    file: "/other.pp"
)";

constexpr char kTail[] =
    "corrective_change: false\ncatalog_uuid: 6cd9554e-cdbb-4a26-9b8b-88b71b4191fb\n"
    "cached_catalog_status: not_used\n";

absl::StatusOr<PuppetReport> Parse(const std::string& text) {
  std::istringstream in(text);
  return ParsePuppetReport(in);
}

TEST(PuppetReportTest, PicksWhatAnAnswerNeeds) {
  const absl::StatusOr<PuppetReport> report =
      Parse(absl::StrCat(Head("failed"), kLogs, kMetrics, kStatuses, kTail));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->status, "failed");
  EXPECT_EQ(report->transaction_uuid, "03a6e82c-652a-42c7-8c4b-3bc3e8d22b73");
  EXPECT_EQ(report->catalog_uuid, "6cd9554e-cdbb-4a26-9b8b-88b71b4191fb");
  EXPECT_EQ(report->cached_catalog_status, "not_used");
  EXPECT_EQ(report->configuration_version, "1795436516");
  EXPECT_FALSE(report->noop);
  EXPECT_TRUE(report->noop_pending);
  EXPECT_EQ(report->resources->total(), 12u);
  EXPECT_EQ(report->resources->failed(), 1u);
  EXPECT_EQ(report->resources->noop_pending(), 1u);
  EXPECT_EQ(report->config_retrieval_time, absl::Milliseconds(250));
  ASSERT_EQ(report->errors.list().size(), 1u);
  EXPECT_EQ(ErrorLine(report->errors.list()[0]),
            "/Stage[main]/Main/Exec[/bin/false]/returns: change from 'notrun' to ['0'] failed: "
            "returned 1 instead of one of [0] (file: /tmp/pt/site.pp, line: 3)");
  ASSERT_EQ(report->log_times.size(), 3u);
  EXPECT_EQ(report->log_times[0], "2026-11-23T12:21:56.384371459+00:00");
}

TEST(PuppetReportTest, ChangesInOrderSkippedOnesLast) {
  const PuppetReport report =
      *Parse(absl::StrCat(Head("failed"), kLogs, kMetrics, kStatuses, kTail));
  ASSERT_EQ(report.changes.size(), 4u);
  EXPECT_EQ(report.changes[0].resource(), "File[/srv/motd]");
  EXPECT_EQ(report.changes[0].property(), "ensure");
  EXPECT_EQ(report.changes[0].message(), "defined content");
  EXPECT_TRUE(report.changes[0].corrective());
  EXPECT_EQ(report.changes[0].line(), 1u);
  EXPECT_EQ(report.changes[0].status(), orch::v1::RESOURCE_CHANGE_STATUS_CHANGED);
  EXPECT_EQ(report.changes[1].resource(),
            "File[/a very long key that Ruby writes as a complex one]");
  EXPECT_EQ(report.changes[1].status(), orch::v1::RESOURCE_CHANGE_STATUS_FAILED);
  EXPECT_EQ(report.changes[1].line(), 9u);
  EXPECT_EQ(report.changes[2].status(), orch::v1::RESOURCE_CHANGE_STATUS_NOOP);
  EXPECT_EQ(report.changes[2].file(), "/other.pp");
  EXPECT_EQ(report.changes[3].resource(), "File[/srv/skipped]");
  EXPECT_EQ(report.changes[3].status(), orch::v1::RESOURCE_CHANGE_STATUS_SKIPPED);
}

TEST(PuppetReportTest, ACatalogThatWasNotCompiledCountsNothing) {
  const absl::StatusOr<PuppetReport> report = Parse(absl::StrCat(
      Head("failed"), kLogs, "metrics: {}\nresource_statuses: {}\ncorrective_change: false\n"));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_FALSE(report->resources.has_value());
  EXPECT_EQ(report->errors.list().size(), 1u);
}

TEST(PuppetReportTest, ACutReportIsNone) {
  const std::string whole = absl::StrCat(Head("failed"), kLogs, kMetrics, kStatuses, kTail);
  const size_t needed = whole.find("corrective_change: false\ncatalog_uuid") + 20;
  for (size_t size = 0; size < needed; size += 7) {
    EXPECT_FALSE(Parse(whole.substr(0, size)).ok()) << size;
  }
}

TEST(PuppetReportTest, HostileYamlIsRefusedNotCrashedOn) {
  EXPECT_FALSE(Parse("").ok());
  EXPECT_FALSE(Parse("- 1\n- 2\n").ok());
  EXPECT_FALSE(Parse("plain").ok());
  EXPECT_FALSE(Parse(std::string(100'000, '[')).ok());
  EXPECT_FALSE(Parse("a: &x [*x]\n").ok());
  EXPECT_FALSE(Parse("a: \"\\q\"").ok());
  EXPECT_FALSE(Parse(std::string("\0\0\0\0", 4)).ok());
}

TEST(PuppetReportTest, MuchIsCutAndCounted) {
  std::string statuses = "resource_statuses:\n";
  for (int i = 0; i < 2000; i++) {
    absl::StrAppend(&statuses, "  File[/", i, "]:\n    skipped: ", i % 2 ? "true" : "false",
                    "\n    events:\n");
    if (i % 2 == 0) {
      absl::StrAppend(&statuses, "    - property: content\n      status: success\n      message: ",
                      std::string(i == 0 ? 5000 : 10, 'm'), "\n");
    }
  }
  const absl::StatusOr<PuppetReport> report =
      Parse(absl::StrCat(Head("changed"), kLogs, kMetrics, statuses, kTail));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->changes.size(), kChangesMax);
  EXPECT_EQ(report->changes_omitted, 2000 - kChangesMax);
  EXPECT_LE(report->changes[0].message().size(), kReportTextMax + 3);
}

TEST(PuppetReportTest, TheUuidIsPeekedAt) {
  const std::string path = testing::TempDir() + "/report.yaml";
  std::ofstream(path) << Head("changed");
  EXPECT_EQ(PeekReportHead(path).transaction_uuid, "03a6e82c-652a-42c7-8c4b-3bc3e8d22b73");
  EXPECT_EQ(PeekReportHead(path + ".none").transaction_uuid, "");
  EXPECT_EQ(ReadPuppetReport(path + ".none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadPuppetReport(path).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReadPuppetReport(testing::TempDir()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(PuppetReportTest, WhateverStandsThereIsReadToABound) {
  const std::string path = testing::TempDir() + "/endless.yaml";
  std::ofstream(path) << "--- x";
  std::filesystem::resize_file(path, uint64_t{6} << 30);
  EXPECT_EQ(PeekReportHead(path).transaction_uuid, "");
  EXPECT_EQ(ReadPuppetReport(path).status().code(), absl::StatusCode::kResourceExhausted);
  std::filesystem::resize_file(path, kReportMax);
  EXPECT_EQ(ReadPuppetReport(path).status().code(), absl::StatusCode::kDataLoss);
  std::ofstream(path) << Head("changed") << std::string(kReportHeadMax, '\n')
                      << "transaction_uuid: late\n";
  EXPECT_EQ(PeekReportHead(path).transaction_uuid, "03a6e82c-652a-42c7-8c4b-3bc3e8d22b73");
  std::filesystem::remove(path);
  std::filesystem::create_symlink("/dev/zero", path);
  EXPECT_EQ(PeekReportHead(path).transaction_uuid, "");
  EXPECT_EQ(ReadPuppetReport(path).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(PuppetReportTest, TimesOfOldPuppetsAreRead) {
  const absl::Time time = absl::FromUnixMillis(1501370221490);
  EXPECT_EQ(ParsePuppetTime("2017-07-29T23:17:01.490000000+00:00"), time);
  EXPECT_EQ(ParsePuppetTime("2017-07-29 23:17:01.49 +00:00"), time);
  EXPECT_EQ(ParsePuppetTime("2017-07-30 01:17:01.490000 +02:00"), time);
  EXPECT_EQ(ParsePuppetTime("2017-07-29T23:17:01.49Z"), time);
  EXPECT_EQ(ParsePuppetTime("2017-07-29 23:17:01"), std::nullopt);
  EXPECT_EQ(ParsePuppetTime(""), std::nullopt);
}

TEST(PuppetReportTest, AnErrorsPlaceIsToldOnce) {
  EXPECT_EQ(ErrorLine(MakePuppetError("Puppet", "no (file: /s.pp, line: 2) on x", "/s.pp", 2)),
            "no (file: /s.pp, line: 2) on x");
  EXPECT_EQ(ErrorLine(MakePuppetError("Puppet", "no", "/s.pp", 2)), "no (file: /s.pp, line: 2)");
  EXPECT_EQ(ErrorLine(MakePuppetError("File[x]", "no", "/s.pp", 0)), "File[x]: no (file: /s.pp)");
  EXPECT_EQ(ErrorLine(MakePuppetError("Puppet", "no", "", 0)), "no");
}

TEST(PuppetErrorTest, ACompilersPlaceIsInItsMessage) {
  const std::string text =
      "Could not retrieve catalog: Unknown function: 'range'. (file: /etc/site.pp, line: 2, "
      "column: "
      "9) on node web1";
  const orch::v1::PuppetRunError error = MakePuppetError("Puppet", text, "", 0);
  EXPECT_EQ(error.file(), "/etc/site.pp");
  EXPECT_EQ(error.line(), 2u);
  EXPECT_EQ(ErrorLine(error), text) << "it is said once";
  for (const char* none : {"no place", "(file: /a", "(file: /a, line: x)", "(file: , line: "}) {
    EXPECT_EQ(MakePuppetError("Puppet", none, "", 0).line(), 0u) << none;
  }
}

}  // namespace
}  // namespace orch::nodeagent
