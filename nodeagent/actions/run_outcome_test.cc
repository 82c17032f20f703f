// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/actions/run_outcome.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace orch::nodeagent {
namespace {

// A run that changed something and left everything behind.
RunEvidence Whole() {
  RunEvidence evidence;
  evidence.previous_uuid = "old";
  evidence.previous_summary = "old";
  evidence.puppet = RunPuppet{{}, absl::FromUnixSeconds(1000)};
  evidence.exit.emplace();
  evidence.exit->exit_code = 2;
  evidence.exit->end_time = absl::FromUnixSeconds(1010);
  PuppetReport report;
  report.time = "1970-01-01T00:16:41.000000001+00:00";
  report.status = "changed";
  report.transaction_uuid = "new";
  report.resources.emplace().set_total(8);
  report.log_times = {"1970-01-01T00:16:42+00:00"};
  evidence.report = report;
  PuppetSummary summary;
  summary.digest = "new";
  summary.last_run = absl::FromUnixSeconds(1001);
  summary.resources.emplace().set_total(8);
  evidence.summary = summary;
  evidence.log.has_lines = true;
  evidence.log.has_a_time = true;
  return evidence;
}

TEST(RunOutcomeTest, TheReportMustBeOfThisVeryRun) {
  EXPECT_TRUE(IsReportOfRun(Whole()));
  RunEvidence same = Whole();
  same.previous_uuid = "new";
  EXPECT_FALSE(IsReportOfRun(same));
  RunEvidence older = Whole();
  older.report->time = "1970-01-01T00:16:30+00:00";
  EXPECT_FALSE(IsReportOfRun(older));
  RunEvidence timeless = Whole();
  timeless.report->time = "";
  EXPECT_FALSE(IsReportOfRun(timeless));
  // A daemon's run that ended beside ours: newer than our start, but not with our lines.
  RunEvidence foreign = Whole();
  foreign.log.has_a_time = false;
  EXPECT_FALSE(IsReportOfRun(foreign));
  foreign.log.has_lines = false;
  EXPECT_TRUE(IsReportOfRun(foreign));
  RunEvidence none = Whole();
  none.report = absl::DataLossError("truncated");
  EXPECT_FALSE(IsReportOfRun(none));
}

TEST(RunOutcomeTest, VerdictsOfReports) {
  RunEvidence evidence = Whole();
  EXPECT_EQ(JudgeRun(evidence).result().puppet_run().verdict(),
            orch::v1::PUPPET_RUN_VERDICT_CHANGED);
  evidence.report->status = "unchanged";
  EXPECT_EQ(JudgeRun(evidence).result().puppet_run().verdict(),
            orch::v1::PUPPET_RUN_VERDICT_UNCHANGED);
  evidence.report->noop_pending = true;
  EXPECT_EQ(JudgeRun(evidence).result().puppet_run().verdict(),
            orch::v1::PUPPET_RUN_VERDICT_NOOP_PENDING);
  evidence.report->resources->set_failed_to_restart(1);
  EXPECT_EQ(JudgeRun(evidence).result().puppet_run().verdict(),
            orch::v1::PUPPET_RUN_VERDICT_FAILED);
  // Never "0 failed".
  evidence.report->status = "failed";
  evidence.report->resources.reset();
  evidence.report->errors = {"first", "last"};
  const orch::bus::v1::Outcome outcome = JudgeRun(evidence);
  EXPECT_EQ(outcome.result().puppet_run().verdict(), orch::v1::PUPPET_RUN_VERDICT_COMPILE_FAILED);
  EXPECT_EQ(outcome.state(), orch::v1::NODE_STATE_FAILED);
  EXPECT_EQ(outcome.message(), "last");
}

TEST(RunOutcomeTest, TheFirstFailedResourceIsTheMessage) {
  RunEvidence evidence = Whole();
  evidence.report->status = "failed";
  for (int i = 0; i < 3; i++) {
    orch::v1::ResourceChange& change = evidence.report->changes.emplace_back();
    change.set_resource(absl::StrCat("Exec[", i, "]"));
    change.set_message("returned 1");
    change.set_status(i == 0 ? orch::v1::RESOURCE_CHANGE_STATUS_CHANGED
                             : orch::v1::RESOURCE_CHANGE_STATUS_FAILED);
  }
  EXPECT_EQ(JudgeRun(evidence).message(), "Exec[1]: returned 1");
  EXPECT_EQ(JudgeRun(evidence).reason(), "failed");
}

TEST(RunOutcomeTest, WithoutAReportTheExitCodeAndTheLogDecide) {
  RunEvidence evidence = Whole();
  evidence.report = absl::NotFoundError("no report");
  EXPECT_EQ(JudgeRun(evidence).result().puppet_run().verdict(),
            orch::v1::PUPPET_RUN_VERDICT_CHANGED);
  EXPECT_EQ(JudgeRun(evidence).result().puppet_run().resources().total(), 8u);
  evidence.exit->exit_code = 6;
  EXPECT_EQ(JudgeRun(evidence).reason(), "failed");
  evidence.exit->exit_code = 0;
  evidence.summary->resources.reset();
  EXPECT_EQ(JudgeRun(evidence).reason(), "compile_failed");
  evidence.summary->digest = "old";
  EXPECT_EQ(JudgeRun(evidence).reason(), "no_report");
  evidence.exit->exit_code = 1;
  evidence.log.errors = {"Error: cannot"};
  EXPECT_EQ(JudgeRun(evidence).reason(), "compile_failed");
  EXPECT_EQ(JudgeRun(evidence).message(), "Error: cannot");
  evidence.log.errors.clear();
  evidence.output_tail = "\n\x1b[31mcould not \xff load\n\n";
  EXPECT_EQ(JudgeRun(evidence).message(), " [31mcould not \xef\xbf\xbd load");
  evidence.log.says_locked = true;
  EXPECT_EQ(JudgeRun(evidence).state(), orch::v1::NODE_STATE_REFUSED);
  EXPECT_EQ(JudgeRun(evidence).reason(), "already_running");
  evidence.log.says_locked = false;
  evidence.log.says_disabled = true;
  EXPECT_EQ(JudgeRun(evidence).reason(), "disabled");
}

TEST(RunOutcomeTest, WhatNobodyKnowsIsLost) {
  RunEvidence evidence = Whole();
  evidence.exit.reset();
  EXPECT_EQ(JudgeRun(evidence).state(), orch::v1::NODE_STATE_SUCCEEDED);
  EXPECT_EQ(JudgeRun(evidence).result().puppet_run().exit_code(), -1);
  evidence.report = absl::NotFoundError("no report");
  EXPECT_EQ(JudgeRun(evidence).state(), orch::v1::NODE_STATE_LOST);
  EXPECT_EQ(JudgeRun(evidence).reason(), "no_report");
  evidence.earlier_boot = true;
  EXPECT_EQ(JudgeRun(evidence).reason(), "rebooted");
}

TEST(RunOutcomeTest, WhatTheWrapperSaysComesFirst) {
  RunEvidence evidence = Whole();
  evidence.exit->refused = "disabled";
  evidence.exit->message = "maintenance";
  EXPECT_EQ(JudgeRun(evidence).state(), orch::v1::NODE_STATE_REFUSED);
  EXPECT_EQ(JudgeRun(evidence).message(), "maintenance");
  evidence.exit->refused = "start_failed";
  EXPECT_EQ(JudgeRun(evidence).state(), orch::v1::NODE_STATE_FAILED);
  evidence = Whole();
  evidence.exit->killed = true;
  EXPECT_EQ(JudgeRun(evidence).state(), orch::v1::NODE_STATE_TIMED_OUT);
}

}  // namespace
}  // namespace orch::nodeagent
