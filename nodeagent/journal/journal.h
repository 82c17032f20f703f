// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/plants.h"
#include "base/random.h"
#include "base/sqlite.h"

// What a node remembers of mutating requests, so that it starts Puppet at most once for each of
// them, whatever is duplicated, replayed, restarted or killed.
//
// The promise rests on one invariant: a request that was ever accepted is either in the journal or
// was issued at or before the floor, and everything issued at or before the floor is refused. So an
// entry may be purged (the floor is raised to its issue time), and a journal that was lost or
// rolled back gets a floor of now: it knows nothing, thus permits nothing old. That it was rolled
// back shows by a file in /run that holds the journal's identity and the number of its last
// acceptance; where that file is missing, as after a boot, or says more than the journal does, or
// the journal is new, it counts as rolled back.
//
// What this node refused is in here as well, before the refusal is told, and so are the jobs that
// were cancelled: neither may start later, whoever is killed meanwhile.
//
// Its room is shared: one caller of one controller fills no more than its share, and what a full
// journal forgets first are results of ended requests that have expired, oldest first, also before
// their retention is over. Requests that stop things, and refusals, have a reserve.
//
// Every call blocks (fsync). Lives on: a worker; the strand uses JournalStore
// (journal_store.h).

namespace orch::nodeagent {

// The most entries; a request beyond them is refused as kFull. Entries that are still needed are
// never evicted.
inline constexpr int kJournalEntriesMax = 10'000;
// Of these, entries of one caller of one controller.
inline constexpr int kJournalShareMax = 2'500;
// Beyond them: for requests that stop things; refusals may take half of it.
inline constexpr int kJournalReserve = 1'000;
// Results that a full journal forgets at once.
inline constexpr int kJournalForgottenAtOnce = 250;
// Cancelled jobs at once.
inline constexpr int kJournalCancelsMax = 16'384;
// A refusal is remembered for no longer than this, and not at all if the request was issued so far
// in the future.
inline constexpr absl::Duration kRefusalRememberedMax = absl::Hours(1);
// The file's size above which nothing more is accepted; outcomes of what was accepted still are
// written.
inline constexpr int64_t kJournalBytesMax = 256 << 20;
// The most bytes of one request, and of one outcome.
inline constexpr size_t kJournalRequestMax = 256 << 10;
inline constexpr size_t kJournalOutcomeMax = 1 << 20;

struct JournalOptions {
  std::string path;           // <state_dir>/journal.db
  std::string sequence_path;  // <run_dir>/journal.sequence, on a file system that a boot empties
  absl::Duration result_retention = absl::Hours(24);
  int entries_max = kJournalEntriesMax;
  int share_max = kJournalShareMax;
  base::Random* random = base::SystemRandom();
  base::Plants plants;  // for test/sim alone
};

// A mutating request that is about to be accepted.
struct JournalRequest {
  std::string request_id;  // 16 bytes
  std::string digest;      // SHA-256 of its payload
  std::string job_id;
  std::string controller;
  std::string caller;
  // It stops something: it may take the reserve, and no share keeps it out.
  bool stops = false;
  // The serialised orch.bus.v1.Request without sensitive fields: what a restarted agent goes on
  // with.
  std::string request;
  absl::Time issue_time;
  absl::Time expire_time;
};

enum class JournalState { kAccepted = 1, kDone = 3 };

struct JournalEntry {
  JournalRequest request;
  JournalState state = JournalState::kAccepted;
  absl::Time accept_time;
  // kDone only: the serialised orch.bus.v1.Outcome, and when.
  std::string outcome;
  absl::Time end_time;
};

struct CancelledJob {
  std::string job_id;
  absl::Time until;
};

enum class Acceptance {
  kAccepted,   // it is new and now durably in the journal: go on
  kDuplicate,  // it is in the journal already; see AcceptResult::known
  kStale,      // issued at or before the floor: whether it was done before can't be told, so it is
               // refused
  kExpired,    // its time passed while it waited
  kFull,       // no room: refused
};

struct AcceptResult {
  Acceptance acceptance;
  JournalEntry known;  // kDuplicate: the entry as it is, its digest may differ from the one offered
  absl::Time floor;    // kStale: for the message
};

class Journal {
 public:
  // Opens the journal or creates it. DataLoss: the file is not a sound journal; it is never made
  // anew by itself, and nothing may be started. FailedPrecondition: a newer version wrote it. Other
  // errors come from the file system.
  static absl::StatusOr<std::unique_ptr<Journal>> Open(const JournalOptions& options,
                                                       base::Now now);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Accepts a request or says why not; atomic and durable. An error means that it was not accepted
  // and must be refused.
  absl::StatusOr<AcceptResult> Accept(const JournalRequest& request, base::Now now);
  // Remembers that it was refused with `outcome`, which is told only then. Durable. False: it is
  // known already, or there is no room: nothing may be told.
  absl::StatusOr<bool> Refuse(const JournalRequest& request, const std::string& outcome,
                              base::Now now);
  // Remembers until then that the job was cancelled. Durable. ResourceExhausted: too many are.
  absl::Status Cancel(const std::string& job_id, absl::Time until, base::Now now);
  // Jobs that were cancelled and may not start yet, each until when.
  absl::StatusOr<std::vector<CancelledJob>> Cancelled(base::Now now) const;
  // To kDone. The first outcome stays: a second call changes nothing. NotFound.
  absl::Status Finish(const std::string& request_id, const std::string& outcome, base::Now now);
  absl::StatusOr<std::optional<JournalEntry>> Find(const std::string& request_id) const;
  // The entries that are not kDone, the oldest first; after a restart Actions::Resume is called for
  // them.
  absl::StatusOr<std::vector<JournalEntry>> Unfinished() const;
  // Removes entries that are done, were kept for result_retention and have expired. Raises the
  // floor before that.
  absl::Status Purge(base::Now now);
  // The floor: every request that was issued at or before it is refused.
  absl::Time Floor(base::Now now) const;
  // Whether a request issued at that time would be in the journal had it been accepted. Then its
  // absence proves that it never started, which a result query answers as `never_started`.
  bool WholeSince(absl::Time issue_time, base::Now now) const { return issue_time > Floor(now); }
  // Why Open raised the floor to now: the journal is new, was rolled back, or the machine was
  // booted. Empty: it did not.
  const std::string& reset_reason() const { return reset_reason_; }

 private:
  explicit Journal(const JournalOptions& options);
  absl::Status OpenDatabase();
  // Within a transaction, as the next three.
  absl::Status CheckOrCreate();
  // The version of the schema that wrote it; 0: it is empty.
  absl::StatusOr<int64_t> ReadMeta();
  absl::Status Create();
  absl::Status Migrate(int64_t version);
  absl::Status CheckSequence(base::Now now);
  absl::Status WriteSequence(uint64_t sequence, absl::Time issued);
  absl::Status RaiseFloor(absl::Time floor);
  // Whether there is room for it beside `reserve` entries above the usual; makes some if need be.
  absl::StatusOr<bool> MakeRoom(const JournalRequest& request, int reserve, base::Now now);
  absl::StatusOr<bool> HasRoom(int reserve) const;
  absl::StatusOr<bool> HasShare(const JournalRequest& request) const;
  // Forgets the oldest of what is done and has expired, of this request's party or of all.
  absl::Status Forget(const JournalRequest* party, base::Now now);
  // Done at once where `outcome` is given.
  absl::Status Insert(const JournalRequest& request, const std::string* outcome, base::Now now);

  const JournalOptions options_;
  std::unique_ptr<base::Database> database_;
  std::string identity_;     // random, made with the file
  uint64_t sequence_ = 0;    // of the last acceptance
  absl::Time newest_issue_;  // of all ever accepted, as far as is known
  absl::Time floor_;         // persisted
  absl::Duration opened_;    // steady reading at Open
  bool follow_clock_ =
      false;  // reset at Open: the floor is that moment, also after the wall clock is set right
  bool created_ = false;
  std::string reset_reason_;
};

}  // namespace orch::nodeagent
