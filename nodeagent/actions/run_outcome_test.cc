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
  evidence.report->errors.Add(MakePuppetError("Puppet", "first", "/site.pp", 2));
  evidence.report->errors.Add(MakePuppetError("Puppet", "last", "", 0));
  const orch::bus::v1::Outcome outcome = JudgeRun(evidence);
  EXPECT_EQ(outcome.result().puppet_run().verdict(), orch::v1::PUPPET_RUN_VERDICT_COMPILE_FAILED);
  EXPECT_EQ(outcome.state(), orch::v1::NODE_STATE_FAILED);
  // The cause comes first; "skipping run" and the like are its consequences.
  EXPECT_EQ(outcome.message(), "first (file: /site.pp, line: 2)");
  ASSERT_EQ(outcome.result().puppet_run().errors_size(), 2);
  EXPECT_EQ(outcome.result().puppet_run().errors(0).file(), "/site.pp");
  EXPECT_EQ(outcome.result().puppet_run().errors(0).line(), 2u);
  EXPECT_EQ(outcome.result().puppet_run().errors(1).message(), "last");
}

TEST(RunOutcomeTest, TheFirstFailedResourceIsTheMessage) {
  RunEvidence evidence = Whole();
  evidence.report->status = "failed";
  for (int i = 0; i < 3; i++) {
    orch::v1::ResourceChange& change = evidence.report->changes.emplace_back();
    change.set_resource(absl::StrCat("Exec[", i, "]"));
    change.set_message("returned 1");
    change.set_file("/site.pp");
    change.set_line(3);
    change.set_status(i == 0 ? orch::v1::RESOURCE_CHANGE_STATUS_CHANGED
                             : orch::v1::RESOURCE_CHANGE_STATUS_FAILED);
  }
  EXPECT_EQ(JudgeRun(evidence).message(), "Exec[1]: returned 1 (file: /site.pp, line: 3)");
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
  evidence.log.errors.Add(MakePuppetError("Puppet", "Error: cannot", "", 0));
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

TEST(RunOutcomeTest, WhatGoesWrongAfterTheReportIsAFailure) {
  for (const char* status : {"changed", "unchanged"}) {
    RunEvidence evidence = Whole();
    evidence.report->status = status;
    evidence.report->errors.Add(MakePuppetError("/Stage[main]/X", "was told of", "", 0));
    evidence.log.errors = evidence.report->errors;
    evidence.log.errors.Add(
        MakePuppetError("Puppet", "Could not run command from postrun_command", "", 0));
    evidence.log.errors.Add(MakePuppetError("Puppet", "and so on", "", 0));
    for (const int exit_code : {1, 4, 6, 127}) {
      evidence.exit->exit_code = exit_code;
      const orch::bus::v1::Outcome outcome = JudgeRun(evidence);
      EXPECT_EQ(outcome.state(), orch::v1::NODE_STATE_FAILED) << exit_code;
      EXPECT_EQ(outcome.reason(), "failed");
      EXPECT_EQ(outcome.message(), "Could not run command from postrun_command");
      EXPECT_EQ(outcome.result().puppet_run().verdict(), orch::v1::PUPPET_RUN_VERDICT_FAILED);
      EXPECT_EQ(outcome.result().puppet_run().errors_size(), 3);
    }
    evidence.exit->exit_code = -1;
    evidence.exit->signal = 11;
    evidence.log.errors.clear();
    evidence.report->errors.clear();
    const orch::bus::v1::Outcome crashed = JudgeRun(evidence);
    EXPECT_EQ(crashed.reason(), "killed");
    EXPECT_EQ(crashed.message(), "Puppet was ended by signal 11 after its report");
    // The same without a report: the summary has the last word on what was applied only.
    evidence.report = absl::NotFoundError("no report");
    evidence.exit->signal = 0;
    evidence.exit->exit_code = 1;
    EXPECT_EQ(JudgeRun(evidence).reason(), "failed");
    EXPECT_EQ(JudgeRun(evidence).message(), "Puppet ended with exit code 1 after its report");
    evidence.summary->resources->set_total(0);
    EXPECT_EQ(JudgeRun(evidence).reason(), "compile_failed");
  }
}

TEST(RunOutcomeTest, NoopWithoutAReportIsNeverUnchanged) {
  RunEvidence evidence = Whole();
  evidence.report = absl::NotFoundError("no report");
  evidence.exit->exit_code = 0;
  const auto verdict = [&evidence] { return JudgeRun(evidence).result().puppet_run().verdict(); };
  // Nothing is said of events: it can't be told.
  EXPECT_EQ(verdict(), orch::v1::PUPPET_RUN_VERDICT_UNKNOWN);
  EXPECT_EQ(JudgeRun(evidence).state(), orch::v1::NODE_STATE_FAILED);
  EXPECT_EQ(JudgeRun(evidence).reason(), "no_report");
  evidence.summary->noop_events = 2;
  EXPECT_EQ(verdict(), orch::v1::PUPPET_RUN_VERDICT_NOOP_PENDING);
  EXPECT_EQ(JudgeRun(evidence).state(), orch::v1::NODE_STATE_SUCCEEDED);
  evidence.summary->noop_events = 0;
  EXPECT_EQ(verdict(), orch::v1::PUPPET_RUN_VERDICT_UNCHANGED);
  evidence.summary->resources->set_out_of_sync(1);
  EXPECT_EQ(verdict(), orch::v1::PUPPET_RUN_VERDICT_NOOP_PENDING);
  evidence.summary->digest = "old";
  EXPECT_EQ(verdict(), orch::v1::PUPPET_RUN_VERDICT_UNKNOWN);
  // A report of an old Puppet has no `noop_pending`, but its resources tell.
  evidence = Whole();
  evidence.report->status = "unchanged";
  evidence.report->resources->set_noop_pending(1);
  evidence.exit->exit_code = 0;
  EXPECT_EQ(verdict(), orch::v1::PUPPET_RUN_VERDICT_NOOP_PENDING);
}

TEST(RunOutcomeTest, AnotherEnvironmentIsAFailureWhateverPuppetDid) {
  RunEvidence evidence = Whole();
  evidence.environment_asked = "staging";
  evidence.report->environment = "staging";
  EXPECT_EQ(JudgeRun(evidence).state(), orch::v1::NODE_STATE_SUCCEEDED);
  evidence.report->environment = "production";
  for (const char* status : {"changed", "unchanged", "failed"}) {
    evidence.report->status = status;
    const orch::bus::v1::Outcome outcome = JudgeRun(evidence);
    EXPECT_EQ(outcome.state(), orch::v1::NODE_STATE_FAILED);
    EXPECT_EQ(outcome.reason(), "environment_mismatch");
    EXPECT_EQ(
        outcome.message().find("asked for environment staging, but Puppet applied production"), 0u)
        << outcome.message();
    EXPECT_EQ(outcome.result().puppet_run().verdict(), orch::v1::PUPPET_RUN_VERDICT_FAILED);
  }
  evidence.report = absl::NotFoundError("no report");
  evidence.summary->environment = "production";
  EXPECT_EQ(JudgeRun(evidence).reason(), "environment_mismatch");
  // A run that was joined as well.
  evidence = Whole();
  evidence.puppet.reset();
  evidence.exit.reset();
  evidence.environment_asked = "staging";
  evidence.report->environment = "production";
  EXPECT_EQ(JudgeRun(evidence).reason(), "environment_mismatch");
  // Puppet said no by itself.
  evidence = Whole();
  evidence.report->status = "failed";
  evidence.report->resources.reset();
  evidence.exit->exit_code = 1;
  evidence.log.says_environment = true;
  EXPECT_EQ(JudgeRun(evidence).reason(), "environment_mismatch");
}

TEST(RunOutcomeTest, ReportsOfOldPuppetsAreTaken) {
  RunEvidence evidence = Whole();
  evidence.report->time = "1970-01-01 00:16:41.49 +00:00";
  EXPECT_TRUE(IsReportOfRun(evidence));
  evidence.report->time = "1970-01-01 02:16:41.49 +02:00";
  EXPECT_TRUE(IsReportOfRun(evidence));
  evidence.report->time = "1970-01-01 02:16:41.49 +03:00";
  EXPECT_FALSE(IsReportOfRun(evidence));
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
