// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/strand.h"
#include "base/timer.h"
#include "controller/context/dispatcher_api.h"

namespace orch::controller {

// Watchers hear of what changed at most so often.
inline constexpr absl::Duration kJobsToldEvery = absl::Milliseconds(250);
// Ended jobs that are kept for watchers who come back, and the bytes that they may take.
inline constexpr int kEndedJobsKept = 1000;
inline constexpr size_t kEndedJobsBytesMax = 16 << 20;

// Which jobs changed in which order, for those who watch all of them. It holds no list of changes,
// but of each job when it changed last, so whoever is slow or comes back hears of each job once, as
// it is then.
//
// Lives on: the dispatcher's strand.
class JobChanges : public std::enable_shared_from_this<JobChanges> {
 public:
  using Done = DispatcherApi::Callback<JobChangesPart>;
  // A job under way as it is now; null: it is under way no more.
  using Snapshot = std::function<std::shared_ptr<const orch::v1::Job>(const std::string& id)>;

  JobChanges(base::Strand strand, const base::Clock* clock, base::Random* random,
             Snapshot snapshot);

  // A job under way is new, or another than it was.
  void OnChanged(const std::string& id);
  // A job has ended, as it stays.
  void OnEnded(orch::v1::Job job);
  // See DispatcherApi::ReadJobChanges.
  void Read(uint64_t reader_id, WatchCursor after, Done done);
  void Forget(uint64_t reader_id) { readers_.erase(reader_id); }
  void Stop();

 private:
  struct Changed {
    uint64_t revision = 0;
    std::shared_ptr<const orch::v1::Job> ended;  // null: it is under way
  };
  struct Reader {
    WatchCursor after;
    Done done;
  };
  void Note(const std::string& id, std::shared_ptr<const orch::v1::Job> ended);
  void DropOldEnded();
  void TellSoon();
  void Tell();
  JobChangesPart PartFor(const Reader& reader) const;

  const uint64_t process_;  // never 0
  const base::Clock* const clock_;
  const Snapshot snapshot_;
  base::Timer timer_;
  absl::Duration told_at_ = -absl::InfiniteDuration();  // steady
  bool telling_ = false;
  bool stopped_ = false;
  uint64_t revision_ = 0;
  uint64_t forgotten_to_ = 0;  // of revisions up to here not all is known
  size_t ended_bytes_ = 0;
  int ended_ = 0;
  absl::flat_hash_map<std::string, Changed> jobs_;
  std::map<uint64_t, std::string> order_;  // revision → job
  std::map<uint64_t, Reader> readers_;
};

}  // namespace orch::controller
