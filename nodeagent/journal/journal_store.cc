// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/journal/journal_store.h"

#include <utility>

namespace orch::nodeagent {

JournalStore::JournalStore(base::Strand strand, base::Worker* worker,
                           std::unique_ptr<Journal> journal, const base::Clock* clock)
    : strand_(std::move(strand)), worker_(worker), journal_(std::move(journal)), clock_(clock) {}

JournalStore::~JournalStore() = default;

template <typename Result, typename Work>
void JournalStore::Post(Work work, std::function<void(Result)> done) {
  std::weak_ptr<bool> alive = alive_;
  worker_->Post([strand = strand_, journal = journal_, clock = clock_, alive = std::move(alive),
                 work = std::move(work), done = std::move(done)]() mutable {
    Result result = work(*journal, clock->Read());
    base::asio::post(strand, [alive = std::move(alive), done = std::move(done),
                              result = std::move(result)]() mutable {
      if (!alive.expired()) done(std::move(result));
    });
  });
}

void JournalStore::PostAccept(JournalRequest request,
                              std::function<void(absl::StatusOr<AcceptResult>)> done) {
  Post<absl::StatusOr<AcceptResult>>(
      [request = std::move(request)](Journal& journal, base::Now now) {
        return journal.Accept(request, now);
      },
      std::move(done));
}

void JournalStore::PostRefuse(JournalRequest request, std::string outcome,
                              std::function<void(absl::StatusOr<bool>)> done) {
  Post<absl::StatusOr<bool>>(
      [request = std::move(request), outcome = std::move(outcome)](
          Journal& journal, base::Now now) { return journal.Refuse(request, outcome, now); },
      std::move(done));
}

void JournalStore::PostCancel(std::string job_id, absl::Time until,
                              std::function<void(absl::Status)> done) {
  Post<absl::Status>(
      [job_id = std::move(job_id), until](Journal& journal, base::Now now) {
        return journal.Cancel(job_id, until, now);
      },
      std::move(done));
}

void JournalStore::PostCancelled(
    std::function<void(absl::StatusOr<std::vector<CancelledJob>>)> done) {
  Post<absl::StatusOr<std::vector<CancelledJob>>>(
      [](Journal& journal, base::Now now) { return journal.Cancelled(now); }, std::move(done));
}

void JournalStore::PostFinish(std::string request_id, std::string outcome,
                              std::function<void(absl::Status)> done) {
  Post<absl::Status>(
      [request_id = std::move(request_id), outcome = std::move(outcome)](
          Journal& journal, base::Now now) { return journal.Finish(request_id, outcome, now); },
      std::move(done));
}

void JournalStore::PostFind(std::string request_id,
                            std::function<void(absl::StatusOr<std::optional<JournalEntry>>)> done) {
  Post<absl::StatusOr<std::optional<JournalEntry>>>(
      [request_id = std::move(request_id)](Journal& journal, base::Now now) {
        return journal.Find(request_id);
      },
      std::move(done));
}

void JournalStore::PostUnfinished(
    std::function<void(absl::StatusOr<std::vector<JournalEntry>>)> done) {
  Post<absl::StatusOr<std::vector<JournalEntry>>>(
      [](Journal& journal, base::Now now) { return journal.Unfinished(); }, std::move(done));
}

void JournalStore::PostPurge(std::function<void(absl::Status)> done) {
  Post<absl::Status>([](Journal& journal, base::Now now) { return journal.Purge(now); },
                     std::move(done));
}

void JournalStore::PostWholeSince(absl::Time issue_time, std::function<void(bool)> done) {
  Post<bool>(
      [issue_time](Journal& journal, base::Now now) { return journal.WholeSince(issue_time, now); },
      std::move(done));
}

}  // namespace orch::nodeagent
