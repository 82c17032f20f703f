// SPDX-License-Identifier: Apache-2.0
#include "controller/dispatcher/job_changes.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "api/names.h"
#include "base/proto_time.h"
#include "base/status.h"

namespace orch::controller {

JobChanges::JobChanges(base::Strand strand, const base::Clock* clock, base::Random* random,
                       Snapshot snapshot)
    : process_(random->Next64() | 1),
      clock_(clock),
      snapshot_(std::move(snapshot)),
      timer_(strand, clock) {}

void JobChanges::OnChanged(const std::string& id) { Note(id, nullptr); }

void JobChanges::OnEnded(orch::v1::Job job) {
  const std::string id(api::JobIdOf(job.name()));
  auto ended = std::make_shared<const orch::v1::Job>(std::move(job));
  ended_bytes_ += ended->ByteSizeLong();
  ++ended_;
  Note(id, std::move(ended));
  DropOldEnded();
}

void JobChanges::Note(const std::string& id, std::shared_ptr<const orch::v1::Job> ended) {
  Changed& changed = jobs_[id];
  if (changed.ended != nullptr) return;  // nothing comes after its end
  if (changed.revision != 0) order_.erase(changed.revision);
  changed.revision = ++revision_;
  changed.ended = std::move(ended);
  order_.emplace(changed.revision, id);
  TellSoon();
}

void JobChanges::DropOldEnded() {
  for (auto it = order_.begin();
       it != order_.end() && (ended_ > kEndedJobsKept || ended_bytes_ > kEndedJobsBytesMax);) {
    const auto job = jobs_.find(it->second);
    if (job->second.ended == nullptr) {
      ++it;
      continue;
    }
    forgotten_to_ = std::max(forgotten_to_, it->first);
    ended_bytes_ -= job->second.ended->ByteSizeLong();
    --ended_;
    jobs_.erase(job);
    it = order_.erase(it);
  }
}

void JobChanges::Read(uint64_t reader_id, WatchCursor after, Done done) {
  const bool beginning = after.process == 0;
  const bool known = !beginning && after.process == process_ && after.revision <= revision_ &&
                     after.revision >= forgotten_to_;
  Reader reader{known ? after : WatchCursor{}, std::move(done)};
  if (!known) {
    // At once, even if there is nothing: the reader is told where it is.
    JobChangesPart part = PartFor(reader);
    part.reset = !beginning;
    return reader.done(std::move(part));
  }
  readers_[reader_id] = std::move(reader);
  TellSoon();
}

void JobChanges::TellSoon() {
  if (stopped_ || readers_.empty() || telling_) return;
  const bool news = std::any_of(readers_.begin(), readers_.end(), [this](const auto& reader) {
    return reader.second.after.revision < revision_;
  });
  if (!news) return;
  telling_ = true;
  const absl::Duration since = clock_->Read().steady - told_at_;
  timer_.expires_after(std::max(kJobsToldEvery - since, absl::ZeroDuration()));
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    auto self = weak.lock();
    if (error || self == nullptr || self->stopped_) return;
    self->telling_ = false;
    self->Tell();
  });
}

void JobChanges::Tell() {
  told_at_ = clock_->Read().steady;
  std::vector<std::pair<Done, JobChangesPart>> answers;
  for (auto it = readers_.begin(); it != readers_.end();) {
    JobChangesPart part = PartFor(it->second);
    if (part.cursor.revision == it->second.after.revision) {
      ++it;
      continue;
    }
    answers.emplace_back(std::move(it->second.done), std::move(part));
    it = readers_.erase(it);
  }
  for (auto& [done, part] : answers) done(std::move(part));
}

JobChangesPart JobChanges::PartFor(const Reader& reader) const {
  JobChangesPart part;
  part.cursor = {process_, reader.after.revision};
  const absl::Time ended_since = clock_->Read().wall - kJobsWatchedFor;
  for (auto it = order_.upper_bound(reader.after.revision); it != order_.end(); ++it) {
    std::shared_ptr<const orch::v1::Job> job = jobs_.at(it->second).ended;
    const bool old =
        reader.after.process == 0 && job != nullptr && ToTime(job->end_time()) < ended_since;
    if (job == nullptr) job = snapshot_(it->second);
    if (job != nullptr && !old) part.jobs.push_back(std::move(job));
  }
  part.cursor.revision = revision_;
  return part;
}

void JobChanges::Stop() {
  stopped_ = true;
  timer_.cancel();
  readers_.clear();
}

}  // namespace orch::controller
