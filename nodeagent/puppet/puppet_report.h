// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <istream>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "orch/v1/action.pb.h"

namespace orch::nodeagent {

// Bytes of the largest report that is read.
inline constexpr size_t kReportMax = 64 << 20;
// The most that is kept of a report: changes, skipped resources among them, bytes of all changes,
// lines of errors, and bytes of any one text.
inline constexpr size_t kChangesMax = 500;
inline constexpr size_t kSkippedMax = 50;
inline constexpr size_t kChangesBytesMax = 128 << 10;
inline constexpr size_t kErrorsMax = 20;
inline constexpr size_t kReportTextMax = 1024;
// The most times of log lines that are kept; they tell whether the report is of a given run.
inline constexpr size_t kLogTimesMax = 32;

// The part of Puppet's last_run_report.yaml that a run's result needs.
struct PuppetReport {
  std::string time;  // as written: ISO 8601 with nanoseconds
  std::string status;
  std::string transaction_uuid;
  std::string catalog_uuid;
  std::string cached_catalog_status;
  std::string configuration_version;
  std::string environment;
  std::string puppet_version;
  bool noop = false;
  bool noop_pending = false;
  // Nullopt: the report has no counts of resources, because no catalog was applied.
  std::optional<orch::v1::ResourceCounts> resources;
  std::optional<absl::Duration> config_retrieval_time;
  // Changed, failed and noop-pending first, then skipped.
  std::vector<orch::v1::ResourceChange> changes;
  uint32_t changes_omitted = 0;
  std::vector<std::string> errors;     // the last ones, oldest first; without Facter's complaints
  std::vector<std::string> log_times;  // the last ones, as written
};

// Reads a report. Blocks for about a second for 10 MB, so it is not for the strand. NotFound: there
// is no such file. DataLoss: it is truncated, or not what Puppet writes. ResourceExhausted: it is
// larger than kReportMax. Thread-safe.
absl::StatusOr<PuppetReport> ReadPuppetReport(const std::string& path);
absl::StatusOr<PuppetReport> ParsePuppetReport(std::istream& in);

// The transaction_uuid of a report, read from its first lines only; empty if there is none.
std::string PeekTransactionUuid(const std::string& path);

}  // namespace orch::nodeagent
