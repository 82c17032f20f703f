// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <istream>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "nodeagent/puppet/puppet_errors.h"
#include "orch/v1/action.pb.h"

namespace orch::nodeagent {

// Bytes of a report that are read, and of one of its lines; beyond it a report is not used.
inline constexpr size_t kReportMax = 64 << 20;
inline constexpr size_t kReportLineMax = 1 << 20;
// Bytes in which its transaction_uuid is looked for.
inline constexpr size_t kReportHeadMax = 64 << 10;
// What is kept of it: changes, the skipped ones among them, their bytes.
inline constexpr size_t kChangesMax = 500;
inline constexpr size_t kSkippedMax = 50;
inline constexpr size_t kChangesBytesMax = 128 << 10;
// Of the differences of one change, and of all together.
inline constexpr size_t kDiffMax = 16 << 10;
inline constexpr size_t kDiffsBytesMax = 256 << 10;
// The most times of log lines that are kept; they tell whether the report is of a given run.
inline constexpr size_t kLogTimesMax = 32;

// Puppet's time: RFC 3339, or as Puppets before 6 wrote it, `2017-07-29 23:17:01.49 +00:00`.
std::optional<absl::Time> ParsePuppetTime(absl::string_view text);

// The part of Puppet's last_run_report.yaml that an answer needs.
struct PuppetReport {
  std::string time;  // as written; see ParsePuppetTime
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
  // Of all of its changes, the omitted ones too.
  orch::v1::ChangeSet change_set;
  PuppetErrors errors;                 // without Facter's complaints
  std::vector<std::string> log_times;  // the last ones, as written
};

// Reads it as a stream of events: Puppet's reports grow to megabytes, and a document model to
// thirty times that. Blocks: about a second for 10 MB; not for the strand. NotFound; DataLoss if it
// is truncated, has a line above kReportLineMax, or is not what Puppet writes; ResourceExhausted if
// it is larger than kReportMax.
// Thread-safe.
absl::StatusOr<PuppetReport> ReadPuppetReport(const std::string& path);
absl::StatusOr<PuppetReport> ParsePuppetReport(std::istream& in);

// What the first lines of a report say; each is empty, or false, where they don't.
struct PuppetReportHead {
  std::string transaction_uuid;
  std::string status;
  std::string configuration_version;
  bool noop = false;
  bool noop_pending = false;
};

// Reads at most kReportHeadMax bytes, in a millisecond. Empty if there is no report.
PuppetReportHead PeekReportHead(const std::string& path);

}  // namespace orch::nodeagent
