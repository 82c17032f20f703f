// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>

#include "base/strand.h"
#include "base/worker.h"
#include "nodeagent/journal/journal.h"

namespace orch::nodeagent {

// The journal for those who live on a strand: each call is made by the worker, in order, and its
// answer posted back to the strand. Nothing is called back after the store's destruction.
//
// Lives on: `strand`. `worker` outlives it.
class JournalStore {
 public:
  JournalStore(base::Strand strand, base::Worker* worker, std::unique_ptr<Journal> journal,
               const base::Clock* clock);
  ~JournalStore();

  void PostAccept(JournalRequest request, std::function<void(absl::StatusOr<AcceptResult>)> done);
  void PostRefuse(JournalRequest request, std::string outcome,
                  std::function<void(absl::StatusOr<bool>)> done);
  void PostCancel(std::string job_id, absl::Time until, std::function<void(absl::Status)> done);
  void PostCancelled(std::function<void(absl::StatusOr<std::vector<CancelledJob>>)> done);
  void PostFinish(std::string request_id, std::string outcome,
                  std::function<void(absl::Status)> done);
  void PostFind(std::string request_id,
                std::function<void(absl::StatusOr<std::optional<JournalEntry>>)> done);
  void PostUnfinished(std::function<void(absl::StatusOr<std::vector<JournalEntry>>)> done);
  void PostPurge(std::function<void(absl::Status)> done);
  // Journal::WholeSince: whether a request issued at that time would be in the journal had it been
  // accepted.
  void PostWholeSince(absl::Time issue_time, std::function<void(bool)> done);

 private:
  template <typename Result, typename Work>
  void Post(Work work, std::function<void(Result)> done);

  const base::Strand strand_;
  base::Worker* const worker_;
  const std::shared_ptr<Journal> journal_;  // used by the worker only
  const base::Clock* const clock_;
  // Answers hold it weakly: none is delivered once it is gone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace orch::nodeagent
