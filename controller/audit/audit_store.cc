// SPDX-License-Identifier: Apache-2.0

// A decision is told to the caller only after its record is on disk, so an fsync is in the way of
// every call. It is shared: what arrives during one is written with the next, as one batch. After a
// failed write nobody knows what reached the disk; the log is dropped and opened anew at the next
// record, which reads and checks its end. Records that precede an act are refused with it when they
// can't be written; the record of a job's end can refuse nothing any more, so it is kept and tried
// again. A long listing is cut into parts and posted between writes, so that looking into the audit
// delays no decision by more than a part.

#include "controller/audit/audit_store.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <deque>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "api/names.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "base/strand.h"
#include "controller/audit/audit_filter.h"
#include "controller/audit/denial_fold.h"

namespace orch::controller {

namespace asio = boost::asio;
using orch::v1::AuditRecord;

// Everything here is on the audit thread but the constructor, the destructor and Post.
class AuditStore::Writer {
 public:
  Writer(OpenLog open_log, absl::Duration retry_interval,
         std::shared_ptr<std::atomic<bool>> healthy, std::shared_ptr<Counts> counts)
      : open_log_(std::move(open_log)),
        retry_interval_(retry_interval),
        healthy_(std::move(healthy)),
        counts_(std::move(counts)),
        retry_timer_(io_),
        fold_timer_(io_) {}

  ~Writer() {
    if (!thread_.joinable()) return;
    // What was posted before this comes first.
    asio::post(io_, [this] {
      stopping_ = true;
      WriteFolds(/*everything=*/true);
      Flush();
      fold_timer_.cancel();
      retry_timer_.cancel();
      work_.reset();
    });
    thread_.join();
  }

  absl::Status Start() {
    ORCH_ASSIGN_OR_RETURN(log_, open_log_());
    thread_ = std::thread([this] { io_.run(); });
    return absl::OkStatus();
  }

  template <typename Work>
  void Post(Work work) {
    asio::post(io_, std::move(work));
  }

  void Append(AuditRecord record, Done done) {
    if (!folded_.Admit(record, base::SystemClock().Read().steady)) {
      ++counts_->folded;
      WaitForFolds();
      return done(absl::OkStatus());
    }
    Write(std::move(record), std::move(done));
  }

  void Write(AuditRecord record, Done done) {
    if (waiting_.size() >= kWaitingMax) {
      ++counts_->refused;
      done(absl::ResourceExhaustedError("too many audit records wait to be written"));
      return;
    }
    waiting_.push_back({std::move(record), std::move(done)});
    if (waiting_.size() == 1) asio::post(io_, [this] { Flush(); });
  }

  void AppendOrRetry(AuditRecord record) {
    Append(record, [this, record](const absl::Status& status) {
      if (!status.ok()) Keep(record);
    });
  }

  struct Listing {
    uint64_t before;  // what is older is still to be looked at
    int limit;
    orch::v1::ListAuditRequest wanted;
    std::function<void(absl::StatusOr<std::vector<AuditRecord>>)> done;
    std::vector<AuditRecord> found = {};
  };
  void List(Listing listing) {
    if (listings_.size() >= kListingsMax) {
      return listing.done(absl::ResourceExhaustedError("too many look into the audit log"));
    }
    listings_.push_back(std::move(listing));
    if (listings_.size() == 1) asio::post(io_, [this] { ListSome(); });
  }

 private:
  struct Waiting {
    AuditRecord record;
    Done done;
  };

  absl::Status OpenIfNeeded() {
    if (log_ != nullptr) return absl::OkStatus();
    ORCH_ASSIGN_OR_RETURN(log_, open_log_());
    base::LogInfo("the audit log is open again");
    return absl::OkStatus();
  }

  // A part of the first listing; what is to be written gets its turn between two.
  void ListSome() {
    Listing& listing = listings_.front();
    const absl::StatusOr<bool> over = Look(&listing);
    if (over.ok() && !*over) return asio::post(io_, [this] { ListSome(); });
    const Listing ended = std::move(listing);
    listings_.pop_front();
    if (!listings_.empty()) asio::post(io_, [this] { ListSome(); });
    over.ok() ? ended.done(ended.found) : ended.done(over.status());
  }

  // Whether that was all.
  absl::StatusOr<bool> Look(Listing* listing) {
    if (stopping_) return absl::UnavailableError("the audit log is being closed");
    ORCH_RETURN_IF_ERROR(OpenIfNeeded());
    ORCH_ASSIGN_OR_RETURN(std::vector<AuditRecord> records,
                          log_->List(listing->before, kListedAtOnce));
    for (AuditRecord& record : records) {
      listing->before = record.sequence();
      if (listing->found.size() >= static_cast<size_t>(std::max(listing->limit, 0))) return true;
      if (IsBefore(listing->wanted, record)) return true;
      if (Matches(listing->wanted, record)) listing->found.push_back(std::move(record));
    }
    return records.size() < kListedAtOnce || listing->before <= 1;
  }

  // The numbers of denials that were folded, where their minute is over.
  void WriteFolds(bool everything) {
    const base::Now now = base::SystemClock().Read();
    for (AuditRecord& record : folded_.TakeEnded(now.steady, everything)) {
      *record.mutable_time() =
          google::protobuf::util::TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(now.wall));
      Write(std::move(record), [](const absl::Status&) {});
    }
    if (!everything) WaitForFolds();
  }

  void WaitForFolds() {
    const absl::Duration wait = folded_.NextDeadline() - base::SystemClock().Read().steady;
    if (waits_for_folds_ || wait == absl::InfiniteDuration()) return;
    waits_for_folds_ = true;
    fold_timer_.expires_after(absl::ToChronoNanoseconds(wait));
    fold_timer_.async_wait([this](boost::system::error_code error) {
      waits_for_folds_ = false;
      if (!error) WriteFolds(/*everything=*/false);
    });
  }

  absl::Status WriteAll(std::vector<AuditRecord>* records) {
    ORCH_RETURN_IF_ERROR(OpenIfNeeded());
    absl::Status status = log_->Append(records);
    if (status.ok()) return status;
    // Only a log that is opened anew knows what reached the disk.
    log_.reset();
    // Nothing did where somebody moved the file away: a new one goes on in its place.
    if (!absl::IsDataLoss(status) || !OpenIfNeeded().ok()) return status;
    status = log_->Append(records);
    if (!status.ok()) log_.reset();
    return status;
  }

  void Flush() {
    if (waiting_.empty()) return;
    std::vector<Waiting> batch;
    batch.swap(waiting_);
    std::vector<AuditRecord> records;
    records.reserve(batch.size());
    for (Waiting& one : batch) records.push_back(std::move(one.record));
    const absl::Status status = WriteAll(&records);
    if (status.ok() != *healthy_) {
      if (!status.ok())
        base::LogError("the audit log can't be written", {{"why", status.ToString()}});
      *healthy_ = status.ok();
    }
    (status.ok() ? counts_->written : counts_->refused) += batch.size();
    for (Waiting& one : batch) one.done(status);
  }

  void Keep(AuditRecord record) {
    if (stopping_ || retried_.size() >= kRetriedMax) {
      const AuditRecord& lost = stopping_ ? record : retried_.front();
      base::LogError("the audit record of a job's end is lost",
                     {{"job_id", api::JobIdOf(lost.job())}});
      ++counts_->lost;
      if (stopping_) return;
      retried_.pop_front();
    }
    retried_.push_back(std::move(record));
    if (retried_.size() > 1) return;
    retry_timer_.expires_after(absl::ToChronoNanoseconds(retry_interval_));
    retry_timer_.async_wait([this](boost::system::error_code error) {
      std::deque<AuditRecord> again;
      again.swap(retried_);
      for (AuditRecord& record : again) {
        if (error) {
          ++counts_->lost;
          base::LogError("the audit record of a job's end is lost",
                         {{"job_id", api::JobIdOf(record.job())}});
        } else {
          AppendOrRetry(std::move(record));
        }
      }
    });
  }

  const OpenLog open_log_;
  const absl::Duration retry_interval_;
  const std::shared_ptr<std::atomic<bool>> healthy_;
  const std::shared_ptr<Counts> counts_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  asio::steady_timer retry_timer_;
  asio::steady_timer fold_timer_;
  DenialFold folded_;
  bool waits_for_folds_ = false;
  std::unique_ptr<trust::AuditLog> log_;  // null after a failed write
  std::vector<Waiting> waiting_;
  std::deque<Listing> listings_;
  std::deque<AuditRecord> retried_;
  bool stopping_ = false;
  std::thread thread_;
};

AuditStore::AuditStore(OpenLog open_log, absl::Duration retry_interval)
    : healthy_(std::make_shared<std::atomic<bool>>(true)),
      writer_(std::make_unique<Writer>(std::move(open_log), retry_interval, healthy_, counts_)) {}

AuditStore::~AuditStore() = default;

absl::StatusOr<std::shared_ptr<AuditStore>> AuditStore::Open(const std::string& path) {
  return Open([path] { return trust::AuditLog::Open(path); });
}

absl::StatusOr<std::shared_ptr<AuditStore>> AuditStore::Open(OpenLog open_log,
                                                             absl::Duration retry_interval) {
  std::shared_ptr<AuditStore> store(new AuditStore(std::move(open_log), retry_interval));
  ORCH_RETURN_IF_ERROR(store->writer_->Start());
  return store;
}

void AuditStore::PostAppend(AuditRecord record, Done done) {
  writer_->Post(
      [writer = writer_.get(), record = std::move(record), done = std::move(done)]() mutable {
        writer->Append(std::move(record), std::move(done));
      });
}

void AuditStore::PostList(uint64_t before_sequence, int limit, orch::v1::ListAuditRequest wanted,
                          std::function<void(absl::StatusOr<std::vector<AuditRecord>>)> done) {
  writer_->Post(
      [writer = writer_.get(), listing = Writer::Listing{before_sequence, limit, std::move(wanted),
                                                         std::move(done)}]() mutable {
        writer->List(std::move(listing));
      });
}

void AuditStore::PostFrozen(orch::v1::Job job, uint32_t count, Done done) {
  AuditRecord record = RecordOf(job, "frozen");
  record.clear_outcomes();
  record.set_resolved(count);
  PostAppend(std::move(record), std::move(done));
}

void AuditStore::PostJobEnd(orch::v1::Job job) {
  writer_->Post([writer = writer_.get(), record = RecordOf(job, "job_end")]() mutable {
    writer->AppendOrRetry(std::move(record));
  });
}

}  // namespace orch::controller
