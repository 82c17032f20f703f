// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/puppet/last_run.h"

#include <sys/stat.h>

#include "base/proto_time.h"
#include "nodeagent/puppet/puppet_report.h"
#include "nodeagent/puppet/puppet_summary.h"

namespace orch::nodeagent {
namespace {

using orch::v1::PuppetRunDigest;
using orch::v1::PuppetRunVerdict;

// The summary counts; the report says what it was: with noop a run that changes nothing and one
// that would change something count alike.
PuppetRunVerdict VerdictOf(const PuppetSummary& summary, const PuppetReportHead& head) {
  if (!summary.resources.has_value()) return orch::v1::PUPPET_RUN_VERDICT_COMPILE_FAILED;
  if (summary.resources->failed() > 0 || summary.resources->failed_to_restart() > 0 ||
      head.status == "failed") {
    // A catalog that could not be applied at all counts nothing.
    return summary.resources->total() == 0 ? orch::v1::PUPPET_RUN_VERDICT_COMPILE_FAILED
                                           : orch::v1::PUPPET_RUN_VERDICT_FAILED;
  }
  if (summary.resources->changed() > 0) return orch::v1::PUPPET_RUN_VERDICT_CHANGED;
  if (head.noop_pending || summary.noop_events.value_or(0) > 0) {
    return orch::v1::PUPPET_RUN_VERDICT_NOOP_PENDING;
  }
  return orch::v1::PUPPET_RUN_VERDICT_UNCHANGED;
}

PuppetRunDigest Compose(const PuppetSummary& summary, const PuppetReportHead& head) {
  PuppetRunDigest digest;
  digest.set_verdict(VerdictOf(summary, head));
  digest.set_noop(head.noop);
  if (summary.resources.has_value()) *digest.mutable_resources() = *summary.resources;
  digest.set_environment(summary.environment);
  digest.set_configuration_version(summary.configuration_version);
  *digest.mutable_end_time() = ToTimestamp(summary.last_run);
  if (summary.total_time.has_value()) {
    *digest.mutable_length() = ToProtoDuration(*summary.total_time);
  }
  digest.set_transaction_uuid(head.transaction_uuid);
  return digest;
}

}  // namespace

LastRun::File LastRun::Look(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino, info.st_size,
          info.st_mtim.tv_sec * int64_t{1'000'000'000} + info.st_mtim.tv_nsec};
}

const std::optional<PuppetRunDigest>& LastRun::Read(const PuppetPaths& paths) {
  const File summary_file = Look(paths.lastrunfile);
  const File report_file = Look(paths.lastrunreport);
  if (known_ && summary_file == summary_ && report_file == report_) return digest_;
  known_ = true;
  summary_ = summary_file;
  report_ = report_file;
  digest_.reset();
  const absl::StatusOr<PuppetSummary> summary = ReadPuppetSummary(paths.lastrunfile);
  if (!summary.ok()) return digest_;
  PuppetReportHead head = PeekReportHead(paths.lastrunreport);
  // Puppet writes the one after the other, and may be told to write no report: a report of another
  // run says nothing of this one.
  if (head.configuration_version != summary->configuration_version) head = PuppetReportHead();
  digest_ = Compose(*summary, head);
  return digest_;
}

}  // namespace orch::nodeagent
