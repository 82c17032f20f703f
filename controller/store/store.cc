// SPDX-License-Identifier: Apache-2.0

// Writes that wait together are one transaction: an fsync takes milliseconds, and a fleet's answers
// come by the thousand. If it fails they are tried one by one, because a single large row on an
// almost full disk must not hold up the small ones. Behind the first write that must not be lost
// and failed, later ones of its kind wait and all others fail: the store's order is the job's
// order, and a sequence number that a reader has seen may not be given again. Completions are
// posted only after the commit, so "done" means durable. The mutex guards the two queues alone and
// is never held during a call of SQLite.

#include "controller/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace orch::controller {
namespace {

constexpr absl::Duration kRetryInterval = absl::Seconds(1);
constexpr absl::Duration kPruneInterval = absl::Hours(1);
constexpr int kPrunedAtOnce = 10;

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::Open(StoreOptions options) {
  const std::string lock = absl::StrCat(options.path, ".lock");
  const int fd = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return absl::PermissionDeniedError(absl::StrCat("open ", lock, ": ", strerror(errno)));
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    return absl::FailedPreconditionError(
        absl::StrCat("store ", options.path, ": another process holds ", lock,
                     ": each controller needs a store of its own"));
  }
  auto rows = StoreRows::Open(options.path);
  if (!rows.ok()) {
    close(fd);
    return rows.status();
  }
  return std::unique_ptr<Store>(new Store(std::move(options), fd, *std::move(rows)));
}

Store::~Store() {
  abandoned_ = true;
  Stop();
  rows_.reset();
  close(lock_fd_);
}

void Store::Start() {
  if (options_.worker == nullptr) own_worker_ = base::NewThreadWorker();
  worker_ = options_.worker == nullptr ? own_worker_.get() : options_.worker;
  prune_at_ = options_.clock->Read().steady;
  const std::lock_guard<std::mutex> lock(mutex_);
  Wake();
}

void Store::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (std::exchange(stopping_, true)) return;
  }
  if (worker_ != nullptr) worker_->Stop();
  alive_.reset();
}

void Store::Wake() {
  if (worker_ == nullptr || std::exchange(woken_, true)) return;
  worker_->Post([this, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) Work();
  });
}

void Store::PostWrite(StoreWrite write, OnFailure on_failure, Done done) {
  absl::Status refused;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) {
      refused = absl::UnavailableError("the store is stopping");
    } else if (on_failure == OnFailure::kReport && !ok()) {
      refused = absl::UnavailableError("the store can't be written");
    } else if (on_failure == OnFailure::kReport && new_writes_.size() >= kStoreQueueMax) {
      refused = absl::ResourceExhaustedError("too many writes wait for the store");
    } else {
      new_writes_.push_back({std::move(write), on_failure, std::move(done)});
      Wake();
    }
  }
  if (!refused.ok() && done) options_.post([done, refused] { done(refused); });
}

void Store::PostReadJob(std::function<void(absl::Status)> read) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!stopping_ && new_reads_.size() < kStoreQueueMax) {
      new_reads_.push_back(std::move(read));
      read = nullptr;
      Wake();
    }
  }
  if (read) read(absl::ResourceExhaustedError("too many reads wait for the store"));
}

void Store::Work() {
  std::deque<std::function<void(absl::Status)>> reads;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    woken_ = false;
    for (Write& write : new_writes_) writes_.push_back(std::move(write));
    new_writes_.clear();
    std::swap(reads, new_reads_);
  }
  if (abandoned_) return;
  const absl::Duration now = options_.clock->Read().steady;
  if (retrying_ && now >= retry_at_ && writes_.empty()) Probe();
  while (!writes_.empty() && (!retrying_ || now >= retry_at_)) {
    CommitSome();
    if (retrying_) break;
  }
  for (auto& read : reads) read(absl::OkStatus());
  if (now >= prune_at_) PruneSome();
  WorkLater(now);
}

void Store::WorkLater(absl::Duration now) {
  const absl::Duration next = retrying_ ? std::min(retry_at_, prune_at_) : prune_at_;
  if (next >= armed_for_) return;
  armed_for_ = next;
  worker_->PostAfter(next - now, [this, next, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    if (armed_for_ == next) armed_for_ = absl::InfiniteDuration();
    Work();
  });
}

void Store::CommitSome() {
  const size_t count = std::min(writes_.size(), kStoreGroupMax);
  absl::Status status = CommitTogether(count);
  if (status.ok()) {
    OnWritten();
    for (size_t i = 0; i < count; ++i) {
      Write write = std::move(writes_.front());
      writes_.pop_front();
      Decide(std::move(write), absl::OkStatus());
    }
    return;
  }
  ok_ = false;  // before anybody is told
  ++commits_failed_;
  const base::Now now = options_.clock->Read();
  if (log_limiter_.Admit("commit", now)) {
    base::LogError("the store can't be written", {{"error", status.ToString()}});
  }
  CommitOneByOne(count);
}

void Store::OnWritten() {
  if (!ok()) base::LogInfo("the store can be written again");
  ok_ = true;
  retrying_ = false;
}

void Store::Probe() {
  absl::Status status = rows_->Begin();
  if (status.ok()) status = rows_->Probe(options_.clock->Read().wall);
  if (status.ok()) status = rows_->Commit();
  if (status.ok()) return OnWritten();
  rows_->Rollback();
  retry_at_ = options_.clock->Read().steady + kRetryInterval;
}

absl::Status Store::CommitTogether(size_t count) {
  const absl::Time now = options_.clock->Read().wall;
  absl::Status status = rows_->Begin();
  for (size_t i = 0; status.ok() && i < count; ++i) status = rows_->Apply(writes_[i].what, now);
  if (status.ok()) status = rows_->Commit();
  if (status.ok()) {
    ++commits_;
  } else {
    rows_->Rollback();
  }
  return status;
}

void Store::CommitOneByOne(size_t count) {
  // One of them may be what fails, for example the large one on an almost full disk.
  const absl::Time now = options_.clock->Read().wall;
  bool stuck = false;
  std::deque<Write> kept;
  for (size_t i = 0; i < count; ++i) {
    Write write = std::move(writes_.front());
    writes_.pop_front();
    absl::Status status = absl::UnavailableError("the store can't be written");
    if (!stuck) {
      status = rows_->Begin();
      if (status.ok()) status = rows_->Apply(write.what, now);
      if (status.ok()) status = rows_->Commit();
      if (!status.ok()) rows_->Rollback();
    }
    if (!status.ok() && write.on_failure == OnFailure::kRetry) {
      stuck = true;  // what comes later must not overtake it
      kept.push_back(std::move(write));
    } else {
      Decide(std::move(write), status);
    }
  }
  writes_.insert(writes_.begin(), std::make_move_iterator(kept.begin()),
                 std::make_move_iterator(kept.end()));
  retrying_ = true;
  retry_at_ = options_.clock->Read().steady + kRetryInterval;
}

void Store::Decide(Write write, absl::Status status) {
  if (!write.done) return;
  options_.post([done = std::move(write.done), status] { done(status); });
}

void Store::PruneSome() {
  const base::Now now = options_.clock->Read();
  absl::StatusOr<bool> more = false;
  absl::Status status = rows_->Begin();
  if (status.ok()) {
    more = rows_->Prune(options_.jobs_kept, now.wall - options_.jobs_kept_for, kPrunedAtOnce,
                        now.wall);
    if (more.ok()) {
      const auto diffs = rows_->ExpireDiffs(now.wall - options_.diffs_kept_for, kPrunedAtOnce);
      more = diffs.ok() ? absl::StatusOr<bool>(*more || *diffs) : diffs;
    }
    status = more.ok() ? rows_->Commit() : more.status();
    if (!status.ok()) rows_->Rollback();
  }
  if (!status.ok()) base::LogWarning("forget old jobs", {{"error", status.ToString()}});
  // In small bites, so that nobody waits for it.
  const bool at_once = status.ok() && *more;
  prune_at_ = now.steady + (at_once ? absl::Milliseconds(50) : kPruneInterval);
}

}  // namespace orch::controller
