// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <istream>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "api/puppet_error.h"
#include "orch/v1/action.pb.h"

namespace orch::nodeagent {

// Bytes of a report that are read, and of one of its lines; beyond it a report is not used.
inline constexpr size_t kReportMax = 64 << 20;
inline constexpr size_t kReportLineMax = 1 << 20;
// Bytes in which its transaction_uuid is looked for.
inline constexpr size_t kReportHeadMax = 64 << 10;
// What is kept of it: changes, the skipped ones among them, their bytes, error lines, bytes of a
// text.
inline constexpr size_t kChangesMax = 500;
inline constexpr size_t kSkippedMax = 50;
inline constexpr size_t kChangesBytesMax = 128 << 10;
inline constexpr size_t kErrorsMax = 20;
inline constexpr size_t kReportTextMax = 1024;
// The most times of log lines that are kept; they tell whether the report is of a given run.
inline constexpr size_t kLogTimesMax = 32;

// The errors of a run in their order: the first, which is most often the cause of the others, and
// the last ones, kErrorsMax together. Pure.
class PuppetErrors {
 public:
  // Its texts may be anything; they are cleaned and cut.
  void Add(orch::v1::PuppetRunError error);
  const std::deque<orch::v1::PuppetRunError>& list() const { return errors_; }
  bool empty() const { return errors_.empty(); }
  void clear() { errors_.clear(); }

 private:
  std::deque<orch::v1::PuppetRunError> errors_;
};

// An error of a log line; `source` is a resource's path, or `Puppet`.
orch::v1::PuppetRunError MakePuppetError(absl::string_view source, absl::string_view message,
                                         absl::string_view file, uint32_t line);
using api::ErrorLine;

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

// The transaction_uuid of a report, read from its first kReportHeadMax bytes only; empty if there
// is none.
std::string PeekTransactionUuid(const std::string& path);

}  // namespace orch::nodeagent
