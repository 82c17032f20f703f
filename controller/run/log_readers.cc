// SPDX-License-Identifier: Apache-2.0
#include "controller/run/log_readers.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "controller/job/job_values.h"
#include "controller/job/states.h"
#include "controller/store/store.h"

namespace orch::controller {

void LogReaders::Restore(orch::v1::Job visible, uint64_t last_sequence) {
  log_ = JobLog(last_sequence);
  visible_ = std::move(visible);
}

orch::v1::Job LogReaders::WithSpec() const {
  orch::v1::Job job = visible_;
  *job.mutable_spec() = *spec_;
  return job;
}

void LogReaders::OnDurable(orch::v1::Job visible) {
  log_.OnDurable(std::max(visible.last_sequence(), log_.durable()));
  visible_ = std::move(visible);
  while (!when_durable_.empty() && when_durable_.front().first <= log_.durable()) {
    const auto call = std::move(when_durable_.front().second);
    when_durable_.pop_front();
    call();
  }
  std::vector<Reader> ready;
  for (auto it = readers_.begin(); it != readers_.end();) {
    if (it->second.after >= log_.durable() && !IsEnd(visible_.state())) {
      ++it;
      continue;
    }
    ready.push_back(std::move(it->second));
    readers_.erase(it++);
  }
  for (Reader& reader : ready) Answer(std::move(reader));
}

void LogReaders::WhenDurable(uint64_t sequence, std::function<void()> call) {
  if (log_.durable() >= sequence) return call();
  when_durable_.emplace_back(sequence, std::move(call));
}

void LogReaders::Read(uint64_t reader_id, uint64_t after_sequence, uint64_t last_sequence,
                      size_t bytes_max, ReadDone done) {
  if (after_sequence > last_sequence) {
    return done(api::Error(absl::StatusCode::kOutOfRange, "SEQUENCE_BEYOND_LOG",
                           absl::StrCat("the log of ", JobName(id_), " ends at ", last_sequence,
                                        ", before ", after_sequence)));
  }
  if (readers_.size() >= kReadersMax) {
    return done(
        api::WithRetry(api::Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_WATCHERS",
                                  absl::StrCat(JobName(id_), " is watched by ", kReadersMax)),
                       absl::Seconds(5)));
  }
  Reader reader{after_sequence, bytes_max, std::move(done)};
  if (after_sequence < log_.durable() || IsEnd(visible_.state())) return Answer(std::move(reader));
  readers_.insert_or_assign(reader_id, std::move(reader));
}

void LogReaders::Answer(Reader reader) {
  if (IsEnd(visible_.state()) && end_ == nullptr) {
    end_ = std::make_shared<const orch::v1::Job>(WithSpec());
  }
  // `end` as it is now: what the store answers later reaches no further than was durable then.
  auto finish = [after = reader.after, done = reader.done,
                 end = end_](std::vector<JobLog::Event> events) {
    JobLogPart part;
    const uint64_t last = events.empty() ? after : events.back()->sequence();
    if (end != nullptr && last >= end->last_sequence()) part.ended = end;
    part.events = std::move(events);
    done(std::move(part));
  };
  auto events = log_.Read(reader.after, reader.bytes_max);
  if (events.has_value()) return finish(*std::move(events));
  context_->store->PostRead<std::vector<JobLog::Event>>(
      [id = id_, after = reader.after, bytes = reader.bytes_max](StoreRows* rows) {
        return rows->ReadEvents(id, after, bytes);
      },
      [finish, done = reader.done](absl::StatusOr<std::vector<JobLog::Event>> stored) {
        if (!stored.ok()) return done(stored.status());
        finish(*std::move(stored));
      });
}

void LogReaders::Stop() {
  readers_.clear();
  when_durable_.clear();
}

}  // namespace orch::controller
