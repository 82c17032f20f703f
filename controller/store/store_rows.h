// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/sqlite.h"
#include "controller/job/job.h"
#include "controller/store/stored.pb.h"
#include "orch/v1/job.pb.h"

// What the store keeps and in which form: the schema, and each thing that is written or asked, as
// plain blocking calls.
//
// Nothing is written that could not be read back: texts are made UTF-8 first. What can't be read
// all the same (a lost bit, an older version's texts) is shown as damaged, in its message, and
// hides nothing else.

namespace orch::controller {

// The version of the schema that this build writes. Files of an older version are migrated, files
// of a newer one refused.
inline constexpr int kSchemaVersion = 1;
// How long idempotency keys are remembered.
inline constexpr absl::Duration kIdempotencyKept = absl::Hours(24);

// A job that was taken just now, with its idempotency key.
struct NewJobRow {
  std::string id;
  std::string caller;
  StoredJob record;
  std::string idempotency_key;  // empty: none
  std::string body_digest;
};
// What has changed in a job since it was written last.
struct JobUpdate {
  std::string id;
  StoredStatus status;
  Job::Changes changes;
};
// Late evidence: what a node said of a job that had ended. It is kept beside the node's outcome,
// and only if the request was ours, the node was asked, and `state` differs from the outcome.
struct LateRow {
  std::string job_id;
  std::string request_id;
  std::string request_digest;
  std::string node;
  orch::v1::NodeState state = orch::v1::NODE_STATE_UNSPECIFIED;
  std::string evidence;
};
// What is written in one transaction.
struct StoreWrite {
  std::optional<NewJobRow> new_job;
  std::optional<JobUpdate> update;
  std::vector<std::pair<std::string, StoredRequest>> requests;  // job id and request
  std::vector<std::pair<std::string, StoredNode>> nodes;  // an empty row: the node is forgotten
  std::optional<LateRow> late;
};

// An unfinished job, as it is taken up again.
struct UnfinishedJob {
  StoredJob record;
  StoredStatus status;
  std::vector<RestoredNode> nodes;  // in the order in which they start
  std::vector<StoredRequest> requests;
};
// Which jobs of the store.
struct JobRowsQuery {
  std::string caller = {};  // empty: any
  std::vector<orch::v1::JobState> states = {};
  std::string after_id =
      {};  // from behind it, in the order that is asked for; empty: from the start
  bool oldest_first = false;
  size_t limit = 0;
  std::function<bool(const orch::v1::Job&)> matches = nullptr;  // null: all do
};
struct NodesQuery {
  std::string job_id;
  std::vector<orch::v1::NodeState> states;
  std::string after_node;
  std::string node = {};  // this one alone; empty: all
  size_t limit = 0;
  std::function<bool(const orch::v1::JobNode&)> matches = nullptr;  // null: all do
};
// Rows that a page looks at; one in which few match ends early.
inline constexpr size_t kStoreRowsLookedAtMax = 2000;
// The most bytes of a page; a page that would have more is cut short.
inline constexpr size_t kStorePageBytesMax = 3 << 20;
template <typename T>
struct Page {
  std::vector<T> items;
  bool more = false;
  std::string last = {};  // with `more`: the id or name behind which it goes on
};
struct KnownKey {
  std::string body_digest;
  std::string job_id;
};

// Lives on: the store thread; before that thread starts, on main's.
class StoreRows {
 public:
  // Opens the file and brings its schema forward. FailedPrecondition: it is newer than this build.
  static absl::StatusOr<std::unique_ptr<StoreRows>> Open(const std::string& path);

  absl::Status Begin() { return database_->Begin(); }
  absl::Status Commit() { return database_->Commit(); }
  void Rollback() { database_->Rollback(); }
  absl::Status Apply(const StoreWrite& write, absl::Time now);
  // Writes one row that nothing reads, and commits it: an ok status proves that the disk takes
  // writes again after a failed one.
  absl::Status Probe(absl::Time now);
  // Lets SQLite refuse to grow the file beyond `pages` pages, as a full disk would. For tests.
  absl::Status LimitPages(int64_t pages);
  // Forgets at most `most` of the ended jobs that are too old or too many, and old idempotency
  // keys. True: there may be more.
  absl::StatusOr<bool> Prune(uint64_t jobs_kept, absl::Time ended_before, int most, absl::Time now);

  // Takes the differences of files out of what jobs that ended before that time left, of at most
  // `most` jobs at once, and of each once. True: there may be more.
  absl::StatusOr<bool> ExpireDiffs(absl::Time ended_before, int most);

  // NotFound where there is none.
  absl::StatusOr<orch::v1::Job> GetJob(const std::string& id);
  // Newest first, or oldest.
  absl::StatusOr<Page<orch::v1::Job>> ListJobs(const JobRowsQuery& query);
  // The newest of those that ended since, at most `most`, in the order in which they ended.
  absl::StatusOr<std::vector<orch::v1::Job>> ListEnded(absl::Time since, int most);
  // By name.
  absl::StatusOr<Page<orch::v1::JobNode>> ListNodes(const NodesQuery& query);
  // The events of a job after `after_sequence`: at least one, if there is one, and then at most
  // `bytes_max` bytes of them.
  absl::StatusOr<std::vector<std::shared_ptr<const orch::v1::JobEvent>>> ReadEvents(
      const std::string& id, uint64_t after_sequence, size_t bytes_max);
  absl::StatusOr<std::optional<KnownKey>> FindKey(const std::string& caller, const std::string& key,
                                                  absl::Time now);
  // A job whose records are damaged can't be gone on with: it is ended as FAILED, and is none of
  // these.
  absl::StatusOr<std::vector<UnfinishedJob>> LoadUnfinished(absl::Time now);
  absl::StatusOr<std::vector<std::pair<std::string, StoredNode>>> LoadNodes();

 private:
  explicit StoreRows(std::unique_ptr<base::Database> database) : database_(std::move(database)) {}
  absl::Status Migrate(const std::string& path);
  absl::Status InsertJob(const NewJobRow& job, absl::Time now);
  absl::Status ApplyUpdate(const JobUpdate& update);
  absl::Status InsertRequest(const std::string& job_id, const StoredRequest& request);
  absl::Status KeepLate(const LateRow& late);
  absl::StatusOr<int64_t> KeyOf(const std::string& job_id);
  absl::Status LoadNodesOf(int64_t key, UnfinishedJob* job);
  // False: one of them is damaged.
  absl::StatusOr<bool> LoadRequestsOf(int64_t key, UnfinishedJob* job);
  // Of the job's last event; 0: it has none.
  absl::StatusOr<uint64_t> LastSequence(int64_t key);
  absl::Status GiveUp(int64_t key, orch::v1::Job job, absl::Time now);
  // What the other rows tell of a damaged event.
  absl::Status FillDamaged(int64_t key, const std::string& id, orch::v1::JobEvent* event);

  std::unique_ptr<base::Database> database_;
  // The last job that ExpireDiffs looked at, by end and key.
  int64_t expired_end_ms_ = 0;
  int64_t expired_key_ = 0;
};

}  // namespace orch::controller
