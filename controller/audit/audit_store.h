// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "controller/audit/audit_sink.h"
#include "orch/v1/audit_service.pb.h"
#include "trust/audit/audit_log.h"

namespace orch::controller {

// Writes the audit log on a thread of its own, because each write is an fsync. Records that are
// posted while one is under way are written together with the next one (group commit).
//
// After a failed write the log is opened anew at the next record. Until that succeeds every record
// is refused, and with it the act that it was about. Records of ended jobs can refuse nothing any
// more; they are kept and tried again every kRetryInterval.
//
// Lives on: its own thread. Methods may be called from anywhere; callbacks come on that thread.
class AuditStore : public AuditSink {
 public:
  using OpenLog = std::function<absl::StatusOr<std::unique_ptr<trust::AuditLog>>()>;
  using Done = std::function<void(absl::Status)>;

  // Records that wait for an fsync; more are refused with ResourceExhausted.
  static constexpr size_t kWaitingMax = 10000;
  // Ended jobs whose record could not be written yet; the oldest are given up, with an error in the
  // log.
  static constexpr size_t kRetriedMax = 1000;
  static constexpr absl::Duration kRetryInterval = absl::Seconds(5);
  // Records that a listing reads before records that wait to be written get their turn, and the
  // most listings that wait.
  static constexpr int kListedAtOnce = 500;
  static constexpr size_t kListingsMax = 100;

  // Opens the file before it returns, so that a broken one is known before anything starts.
  static absl::StatusOr<std::shared_ptr<AuditStore>> Open(const std::string& path);
  // Does the same with any log, for tests.
  static absl::StatusOr<std::shared_ptr<AuditStore>> Open(
      OpenLog open_log, absl::Duration retry_interval = kRetryInterval);
  // Writes the records that wait, then ends the thread. Blocks.
  ~AuditStore() override;

  // `done` once, with OK when the record is durable. Unavailable: it can't be written. Of a
  // caller's denials of one kind the first is written, the others are counted and OK at once
  // (DenialFold).
  void PostAppend(orch::v1::AuditRecord record, Done done);
  // Lists at most `limit` records before `before_sequence` (0: from the end), the newest first,
  // that match `wanted`, which has been validated and whose page is not looked at.
  void PostList(uint64_t before_sequence, int limit, orch::v1::ListAuditRequest wanted,
                std::function<void(absl::StatusOr<std::vector<orch::v1::AuditRecord>>)> done);

  void PostFrozen(orch::v1::Job job, uint32_t count, Done done) override;
  void PostJobEnd(orch::v1::Job job) override;

  // Counts of records since the start. Thread-safe.
  struct Counts {
    // Durable; refused with what they were about; of jobs' ends, given up; of denials, counted in
    // another record.
    std::atomic<uint64_t> written{0}, refused{0}, lost{0}, folded{0};
  };
  const Counts& counts() const { return *counts_; }
  // Whether the last write succeeded. Thread-safe.
  bool healthy() const { return *healthy_; }

 private:
  class Writer;
  AuditStore(OpenLog open_log, absl::Duration retry_interval);

  std::shared_ptr<std::atomic<bool>> healthy_;
  std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
  std::unique_ptr<Writer> writer_;
};

// A record of `kind` with everything that the job says. Pure.
orch::v1::AuditRecord RecordOf(const orch::v1::Job& job, absl::string_view kind);
// `nodes a, b, …` and `pql "…"` beside the printed target; at most kNamesShownMax names, then how
// many there are.
inline constexpr int kNamesShownMax = 50;
std::string TargetText(const orch::v1::JobSpec& spec, absl::string_view printed);
// An action's arguments as records have them: in words, without those that are secrets.
std::string ArgumentsIn(const orch::v1::Action& action);

}  // namespace orch::controller
