// SPDX-License-Identifier: Apache-2.0

// Puppet's report and summary belong to the machine and not to the run: its daemon, a second run or
// an operator may have replaced them. Believing whatever lies there would report somebody else's
// success. So gathering and judging are apart: GatherEvidence reads files, JudgeRun is pure and
// decides by the strongest evidence first (refused, killed, this run's report, the log's word, the
// exit code with a fresh summary, nothing). A run of ours of which nothing is known is LOST, never
// a success.

#include "nodeagent/actions/run_outcome.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/proto_time.h"
#include "nodeagent/actions/outcome.h"
#include "nodeagent/text/clean_text.h"
#include "nodeagent/text/plain_file.h"

namespace orch::nodeagent {
namespace {

using orch::bus::v1::Outcome;
using orch::v1::PuppetRunResult;
using orch::v1::PuppetRunVerdict;

constexpr size_t kOutputTailMax = 8 << 10;
// Puppet rounds some of its times, and clocks are set.
constexpr absl::Duration kTimeSlack = absl::Seconds(2);

std::string ReadTail(const std::string& path) {
  const absl::StatusOr<PlainFile> file = PlainFile::Open(path);
  if (!file.ok()) return "";
  return file->Read(file->size() - std::min<uint64_t>(file->size(), kOutputTailMax), kOutputTailMax)
      .value_or("");
}

PuppetRunVerdict VerdictOf(const PuppetReport& report) {
  if (!report.resources.has_value()) {
    return report.status == "failed" ? orch::v1::PUPPET_RUN_VERDICT_COMPILE_FAILED
                                     : orch::v1::PUPPET_RUN_VERDICT_UNKNOWN;
  }
  if (report.status == "failed" || report.resources->failed() > 0 ||
      report.resources->failed_to_restart() > 0) {
    // A catalog that could not be applied at all counts nothing.
    return report.resources->total() == 0 ? orch::v1::PUPPET_RUN_VERDICT_COMPILE_FAILED
                                          : orch::v1::PUPPET_RUN_VERDICT_FAILED;
  }
  if (report.status == "changed") return orch::v1::PUPPET_RUN_VERDICT_CHANGED;
  // Old Puppets have no noop_pending.
  if (report.noop_pending || report.resources->noop_pending() > 0) {
    return orch::v1::PUPPET_RUN_VERDICT_NOOP_PENDING;
  }
  return orch::v1::PUPPET_RUN_VERDICT_UNCHANGED;
}

PuppetRunVerdict VerdictOf(const PuppetSummary& summary, int exit_code) {
  // A catalog that could not be applied at all counts nothing.
  if (!summary.resources.has_value() || (exit_code == 1 && summary.resources->total() == 0)) {
    return orch::v1::PUPPET_RUN_VERDICT_COMPILE_FAILED;
  }
  if (exit_code == 4 || exit_code == 6 || summary.resources->failed() > 0 ||
      summary.resources->failed_to_restart() > 0) {
    return orch::v1::PUPPET_RUN_VERDICT_FAILED;
  }
  if (exit_code == 2 || summary.resources->changed() > 0) {
    return orch::v1::PUPPET_RUN_VERDICT_CHANGED;
  }
  // Nothing was changed and nothing failed: what is out of sync all the same was left by noop.
  if (summary.noop_events.value_or(0) > 0 || summary.resources->out_of_sync() > 0) {
    return orch::v1::PUPPET_RUN_VERDICT_NOOP_PENDING;
  }
  return summary.noop_events.has_value() ? orch::v1::PUPPET_RUN_VERDICT_UNCHANGED
                                         : orch::v1::PUPPET_RUN_VERDICT_UNKNOWN;
}

bool SaysFailed(PuppetRunVerdict verdict) {
  return verdict == orch::v1::PUPPET_RUN_VERDICT_FAILED ||
         verdict == orch::v1::PUPPET_RUN_VERDICT_COMPILE_FAILED;
}

void SetErrors(const PuppetErrors& errors, PuppetRunResult* result) {
  result->clear_errors();
  for (const orch::v1::PuppetRunError& error : errors.list()) *result->add_errors() = error;
}

// What every result has, whatever was found of the run.
PuppetRunResult BaseResult(const RunEvidence& evidence) {
  PuppetRunResult result;
  result.set_joined(!evidence.puppet.has_value());
  result.set_exit_code(evidence.exit.has_value() ? evidence.exit->exit_code : -1);
  if (evidence.puppet.has_value()) {
    *result.mutable_start_time() = ToTimestamp(evidence.puppet->start_time);
  }
  if (evidence.exit.has_value()) {
    *result.mutable_end_time() = ToTimestamp(evidence.exit->end_time);
  }
  if (evidence.exit.has_value()) *result.mutable_end_time() = ToTimestamp(evidence.exit->end_time);
  PuppetErrors errors = evidence.log.errors;
  if (errors.empty() && evidence.exit.has_value() && evidence.exit->exit_code == 1) {
    // It ended before it could log: what it wrote to its standard error says why.
    for (absl::string_view line : absl::StrSplit(evidence.output_tail, '\n')) {
      if (absl::StripAsciiWhitespace(line).empty()) continue;
      errors.Add(MakePuppetError("Puppet", line, "", 0));
    }
  }
  SetErrors(errors, &result);
  return result;
}

void FillFromReport(const PuppetReport& report, PuppetRunResult* result) {
  result->set_verdict(VerdictOf(report));
  result->set_noop(report.noop);
  if (report.resources.has_value()) *result->mutable_resources() = *report.resources;
  result->mutable_changes()->Assign(report.changes.begin(), report.changes.end());
  result->set_changes_omitted(report.changes_omitted);
  *result->mutable_change_set() = report.change_set;
  if (report.config_retrieval_time.has_value()) {
    *result->mutable_config_retrieval_time() = ToProtoDuration(*report.config_retrieval_time);
  }
  result->set_environment(report.environment);
  result->set_configuration_version(report.configuration_version);
  result->set_transaction_uuid(report.transaction_uuid);
  result->set_catalog_uuid(report.catalog_uuid);
  result->set_cached_catalog_status(report.cached_catalog_status);
  result->set_puppet_version(report.puppet_version);
  // The log goes on where the report ends; of a run that was joined there is none.
  if (result->errors().empty()) SetErrors(report.errors, result);
}

void FillFromSummary(const PuppetSummary& summary, int exit_code, PuppetRunResult* result) {
  result->set_verdict(VerdictOf(summary, exit_code));
  result->set_noop(result->verdict() == orch::v1::PUPPET_RUN_VERDICT_NOOP_PENDING);
  if (summary.resources.has_value()) *result->mutable_resources() = *summary.resources;
  result->set_environment(summary.environment);
  result->set_configuration_version(summary.configuration_version);
  result->set_puppet_version(summary.puppet_version);
  if (summary.config_retrieval_time.has_value()) {
    *result->mutable_config_retrieval_time() = ToProtoDuration(*summary.config_retrieval_time);
  }
}

// One line for people, the same on each node that failed in the same way. What follows the first
// error is, as a rule, its consequence.
std::string FailureMessage(const PuppetRunResult& result) {
  for (const orch::v1::ResourceChange& change : result.changes()) {
    if (change.status() != orch::v1::RESOURCE_CHANGE_STATUS_FAILED) continue;
    return ErrorLine(
        MakePuppetError(change.resource(), change.message(), change.file(), change.line()));
  }
  if (result.errors().empty()) return "Puppet failed without saying why";
  return ErrorLine(result.errors(0));
}

Outcome WithResult(Outcome outcome, PuppetRunResult result) {
  *outcome.mutable_result()->mutable_puppet_run() = std::move(result);
  return outcome;
}

Outcome ByVerdict(PuppetRunResult result) {
  switch (result.verdict()) {
    case orch::v1::PUPPET_RUN_VERDICT_UNCHANGED:
    case orch::v1::PUPPET_RUN_VERDICT_CHANGED:
    case orch::v1::PUPPET_RUN_VERDICT_NOOP_PENDING:
      return WithResult(Ended(orch::v1::NODE_STATE_SUCCEEDED, "", ""), std::move(result));
    case orch::v1::PUPPET_RUN_VERDICT_FAILED: {
      const std::string message = FailureMessage(result);
      return WithResult(Failed("failed", message), std::move(result));
    }
    case orch::v1::PUPPET_RUN_VERDICT_COMPILE_FAILED: {
      const std::string message = FailureMessage(result);
      return WithResult(Failed("compile_failed", message), std::move(result));
    }
    default:
      result.set_verdict(orch::v1::PUPPET_RUN_VERDICT_UNKNOWN);
      return WithResult(
          Failed("no_report", "what Puppet left does not say what it did or would do"),
          std::move(result));
  }
}

// Puppet's own words for what went wrong after its report was written: the first error that the
// report does not know, else the last one.
std::string WordsAfterReport(const RunEvidence& evidence, const PuppetRunResult& result) {
  std::set<std::string> reported;
  if (evidence.report.ok()) {
    for (const auto& error : evidence.report->errors.list()) reported.insert(ErrorLine(error));
  }
  for (const auto& error : evidence.log.errors.list()) {
    if (!reported.contains(ErrorLine(error))) return ErrorLine(error);
  }
  return result.errors().empty() ? "" : ErrorLine(result.errors(result.errors_size() - 1));
}

// A report, or summary, is written before Puppet has come to its end: the hook after the run, a
// report processor, the writing of its state may fail yet. How the process ended tells.
Outcome JudgeEnd(const RunEvidence& evidence, PuppetRunResult result) {
  if (!evidence.exit.has_value() || SaysFailed(result.verdict())) {
    return ByVerdict(std::move(result));
  }
  const RunExit& exit = *evidence.exit;
  if (exit.signal == 0 && (exit.exit_code == 0 || exit.exit_code == 2)) {
    return ByVerdict(std::move(result));
  }
  const std::string words = WordsAfterReport(evidence, result);
  const std::string how = exit.signal != 0 ? absl::StrCat("was ended by signal ", exit.signal)
                                           : absl::StrCat("ended with exit code ", exit.exit_code);
  result.set_verdict(orch::v1::PUPPET_RUN_VERDICT_FAILED);
  return WithResult(
      Failed(exit.signal != 0 ? "killed" : "failed",
             words.empty() ? absl::StrCat("Puppet ", how, " after its report") : words),
      std::move(result));
}

Outcome NotStarted(const RunExit& exit) {
  if (exit.refused == "start_failed") return Failed(exit.refused, exit.message);
  return Refused(exit.refused, exit.message);
}

// The exit code is known, but there is no report of this run.
Outcome JudgeByExit(const RunEvidence& evidence) {
  const RunExit& exit = *evidence.exit;
  PuppetRunResult result = BaseResult(evidence);
  if (exit.signal != 0) {
    return WithResult(Failed("killed", absl::StrCat("Puppet was ended by signal ", exit.signal)),
                      std::move(result));
  }
  const bool fresh = evidence.summary.ok() && evidence.puppet.has_value() &&
                     evidence.summary->digest != evidence.previous_summary &&
                     evidence.summary->last_run >= evidence.puppet->start_time - kTimeSlack;
  if (fresh) {
    FillFromSummary(*evidence.summary, exit.exit_code, &result);
    return JudgeEnd(evidence, std::move(result));
  }
  const bool applied =
      exit.exit_code == 0 || exit.exit_code == 2 || exit.exit_code == 4 || exit.exit_code == 6;
  result.set_verdict(applied ? orch::v1::PUPPET_RUN_VERDICT_UNKNOWN
                             : orch::v1::PUPPET_RUN_VERDICT_COMPILE_FAILED);
  if (!applied) return ByVerdict(std::move(result));
  return WithResult(
      Failed("no_report", absl::StrCat("Puppet ended with exit code ", exit.exit_code,
                                       " but left no readable report of this run: ",
                                       evidence.report.ok() ? "the last one is of another run"
                                                            : evidence.report.status().message())),
      std::move(result));
}

}  // namespace

RunEvidence GatherEvidence(const RunDirectory& directory, const RunSpec& spec) {
  RunEvidence evidence;
  evidence.previous_uuid = spec.previous_uuid;
  evidence.previous_summary = spec.previous_summary;
  evidence.environment_asked = spec.environment_asked;
  const absl::StatusOr<std::optional<RunPuppet>> puppet = directory.ReadPuppet();
  // Ours in any case, also if its record can't be read.
  evidence.puppet = puppet.ok() && puppet->has_value() ? **puppet : RunPuppet{{}, spec.create_time};
  evidence.earlier_boot = puppet.ok() && puppet->has_value() && IsOfEarlierBoot((*puppet)->process);
  const absl::StatusOr<std::optional<RunExit>> exit = directory.ReadExit();
  if (exit.ok()) evidence.exit = *exit;
  // The wrapper could not learn how its child ended: nobody knows.
  if (evidence.exit.has_value() && evidence.exit->refused.empty() && !evidence.exit->killed &&
      evidence.exit->exit_code < 0 && evidence.exit->signal == 0) {
    evidence.exit.reset();
  }
  if (evidence.exit.has_value() && !evidence.exit->refused.empty()) return evidence;
  evidence.report = ReadPuppetReport(directory.report());
  if (evidence.report.status().code() == absl::StatusCode::kNotFound) {
    evidence.report = ReadPuppetReport(spec.report);
  }
  evidence.summary = ReadPuppetSummary(directory.summary());
  if (evidence.summary.status().code() == absl::StatusCode::kNotFound) {
    evidence.summary = ReadPuppetSummary(spec.summary);
  }
  evidence.log = SearchRunLog(directory.log(), evidence.report.ok() ? evidence.report->log_times
                                                                    : std::vector<std::string>());
  evidence.output_tail = ReadTail(directory.output());
  return evidence;
}

RunEvidence GatherJoined(const std::string& report, absl::Time since,
                         const std::string& environment_asked) {
  RunEvidence evidence;
  evidence.environment_asked = environment_asked;
  struct stat info;
  if (stat(report.c_str(), &info) != 0 || absl::TimeFromTimespec(info.st_mtim) < since) {
    return evidence;
  }
  evidence.report = ReadPuppetReport(report);
  return evidence;
}

bool IsReportOfRun(const RunEvidence& evidence) {
  if (!evidence.report.ok()) return false;
  const PuppetReport& report = *evidence.report;
  if (!evidence.puppet.has_value()) return true;
  if (report.transaction_uuid == evidence.previous_uuid) return false;
  const std::optional<absl::Time> time = ParsePuppetTime(report.time);
  if (!time.has_value() || *time < evidence.puppet->start_time - kTimeSlack) return false;
  // Only where one of the two says nothing at all there is nothing to compare.
  return evidence.log.has_a_time || report.log_times.empty() || !evidence.log.has_lines;
}

Outcome JudgeEnvironment(const std::string& asked, Outcome outcome) {
  const std::string& converged = outcome.result().puppet_run().environment();
  if (asked.empty() || converged.empty() || converged == asked) return outcome;
  PuppetRunResult result = outcome.result().puppet_run();
  result.set_verdict(orch::v1::PUPPET_RUN_VERDICT_FAILED);
  return WithResult(
      Failed("environment_mismatch",
             absl::StrCat("asked for environment ", asked, ", but Puppet applied ", converged,
                          outcome.message().empty() ? "" : "; ", outcome.message())),
      std::move(result));
}

namespace {

Outcome JudgeByEvidence(const RunEvidence& evidence) {
  if (evidence.exit.has_value() && !evidence.exit->refused.empty()) {
    return NotStarted(*evidence.exit);
  }
  if (evidence.exit.has_value() && evidence.exit->killed) {
    return WithResult(Ended(orch::v1::NODE_STATE_TIMED_OUT, "killed",
                            "Puppet took longer than allowed and was ended"),
                      BaseResult(evidence));
  }
  if (IsReportOfRun(evidence)) {
    PuppetRunResult result = BaseResult(evidence);
    FillFromReport(*evidence.report, &result);
    return JudgeEnd(evidence, std::move(result));
  }
  if (evidence.log.says_locked) {
    return Refused("already_running", "another Puppet run was faster and holds the lock");
  }
  if (evidence.log.says_disabled) return Refused("disabled", "disabled since the run was started");
  if (evidence.exit.has_value()) return JudgeByExit(evidence);
  if (!evidence.puppet.has_value()) {
    return Failed("no_report", "the run that was joined left no readable report");
  }
  return Ended(orch::v1::NODE_STATE_LOST, evidence.earlier_boot ? "rebooted" : "no_report",
               evidence.earlier_boot
                   ? "the machine was booted in the middle of the run"
                   : "whoever watched Puppet was killed, and it left no report of this run");
}

}  // namespace

Outcome JudgeRun(const RunEvidence& evidence) {
  Outcome outcome = JudgeByEvidence(evidence);
  // Puppet itself refused another environment's catalog; its own words name both.
  if (evidence.log.says_environment && outcome.state() == orch::v1::NODE_STATE_FAILED) {
    outcome.set_reason("environment_mismatch");
  }
  // Nothing of a run that was ended before its time says what it converged.
  if (outcome.state() != orch::v1::NODE_STATE_SUCCEEDED &&
      outcome.state() != orch::v1::NODE_STATE_FAILED) {
    return outcome;
  }
  return JudgeEnvironment(evidence.environment_asked, std::move(outcome));
}

}  // namespace orch::nodeagent
