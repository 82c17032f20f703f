// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/worker.h"
#include "controller/store/store_rows.h"

namespace orch::controller {

// Calls that wait for the store's worker; a further read is refused, a write that reports its
// failure too.
inline constexpr size_t kStoreQueueMax = 100'000;
// The most writes in one commit.
inline constexpr size_t kStoreGroupMax = 1000;

struct StoreOptions {
  std::string path;
  uint64_t jobs_kept = 10000;
  absl::Duration jobs_kept_for = absl::Hours(24 * 30);
  absl::Duration diffs_kept_for = absl::Hours(24);  // differences of files, after their job's end
  const base::Clock* clock = &base::SystemClock();
  // Does the store's work and outlives it; null: the store makes itself a thread.
  base::Worker* worker = nullptr;
  // Takes completions home, in order; thread-safe.
  std::function<void(std::function<void()>)> post;
};

// Jobs, their nodes and events, signed requests, idempotency keys and the roster in SQLite, whose
// blocking calls are made by one worker. Writes that wait together are committed together (one
// fsync); a completion means durable. Reads see only what is durable, and every write that was
// posted before them.
//
// When a commit fails (disk full), writes that must not be lost are tried again every second in
// their order and those posted later wait behind them; writes that may fail do so at once. ok()
// says which it is.
//
// Thread-safe: everything named Post… queues; the queue has the one lock. The Load… calls are for
// before Start.
class Store {
 public:
  using Done = std::function<void(absl::Status)>;
  template <typename T>
  using Callback = std::function<void(absl::StatusOr<T>)>;

  // Holds `<path>.lock` while it lives. FailedPrecondition: another process holds it, or the schema
  // is newer.
  static absl::StatusOr<std::unique_ptr<Store>> Open(StoreOptions options);
  // Without Stop before it, what is not committed is lost, as with SIGKILL.
  ~Store();

  absl::StatusOr<std::vector<UnfinishedJob>> LoadUnfinished() {
    return rows_->LoadUnfinished(options_.clock->Read().wall);
  }
  absl::StatusOr<std::vector<std::pair<std::string, StoredNode>>> LoadNodes() {
    return rows_->LoadNodes();
  }
  absl::StatusOr<std::vector<orch::v1::Job>> LoadEnded(absl::Time since, int most) {
    return rows_->ListEnded(since, most);
  }
  void Start();
  // Commits what was posted before, if the store can be written, then ends the store thread.
  // Completions that were not posted home by then are lost. Blocks.
  void Stop();

  enum class OnFailure { kReport, kRetry };
  void PostWrite(StoreWrite write, OnFailure on_failure, Done done);
  // Runs `read` on the worker, its answer goes home.
  template <typename T>
  void PostRead(std::function<absl::StatusOr<T>(StoreRows*)> read, Callback<T> done) {
    PostReadJob([this, read = std::move(read), done = std::move(done)](absl::Status refused) {
      auto answer = refused.ok() ? read(rows_.get()) : absl::StatusOr<T>(refused);
      options_.post([done, answer = std::move(answer)]() mutable { done(std::move(answer)); });
    });
  }
  bool ok() const { return ok_.load(std::memory_order_relaxed); }
  uint64_t commits() const { return commits_.load(std::memory_order_relaxed); }
  uint64_t commits_failed() const { return commits_failed_.load(std::memory_order_relaxed); }

 private:
  struct Write {
    StoreWrite what;
    OnFailure on_failure;
    Done done;
  };
  Store(StoreOptions options, int lock_fd, std::unique_ptr<StoreRows> rows)
      : options_(std::move(options)), lock_fd_(lock_fd), rows_(std::move(rows)) {}

  void PostReadJob(std::function<void(absl::Status refused)> read);
  // Has the worker do what waits, once for all that waits by then. Under mutex_.
  void Wake();
  // On the worker: all that waits; then what is due by the clock.
  void Work();
  // Comes back when a failed commit is to be tried again, or old jobs are to be forgotten.
  void WorkLater(absl::Duration now);
  // Commits the oldest of `writes_`, which it shortens; completions of what is decided are posted
  // home.
  void CommitSome();
  absl::Status CommitTogether(size_t count);
  void CommitOneByOne(size_t count);
  // While writes are refused and none waits: writes a row for trial, to find out whether the store
  // can be written again.
  void Probe();
  void OnWritten();
  void Decide(Write write, absl::Status status);
  void PruneSome();

  const StoreOptions options_;
  const int lock_fd_;
  std::unique_ptr<StoreRows> rows_;  // on the worker only, once it runs
  std::atomic<bool> ok_{true};
  std::atomic<bool> abandoned_{false};
  std::atomic<uint64_t> commits_{0}, commits_failed_{0};

  std::unique_ptr<base::Worker> own_worker_;  // where the options have none
  base::Worker* worker_ = nullptr;            // since Start

  std::mutex mutex_;
  std::deque<Write> new_writes_;                             // under mutex_
  std::deque<std::function<void(absl::Status)>> new_reads_;  // under mutex_
  bool woken_ = false;                                       // under mutex_: Work is posted
  bool stopping_ = false;                                    // under mutex_

  // On the worker only.
  std::deque<Write> writes_;
  bool retrying_ = false;  // the last commit failed
  absl::Duration retry_at_;
  absl::Duration prune_at_;
  absl::Duration armed_for_ = absl::InfiniteDuration();  // steady
  base::LogLimiter log_limiter_;
  // What waits for its time holds it weakly: nothing is done after the store's end.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace orch::controller
