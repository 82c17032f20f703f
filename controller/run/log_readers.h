// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "controller/context/dispatcher_api.h"
#include "controller/context/dispatcher_context.h"
#include "controller/job/job_log.h"
#include "orch/v1/job.pb.h"

namespace orch::controller {

// Calls that wait for news of one job.
inline constexpr size_t kReadersMax = 10'000;

// Who reads the log of one job that is under way, and what they may see of it: events and states
// that are durable, and nothing else, so that a sequence number that was seen is never given twice.
// A reader is answered once, as soon as there is news for it or the job has ended; old events come
// from the store. However many read, and however many names the job's spec has, a part of the log
// costs references to its events; the spec is copied once, at the end.
//
// Lives on: the dispatcher's strand. Owned by the job's run.
class LogReaders {
 public:
  using ReadDone = DispatcherApi::Callback<JobLogPart>;

  // `spec` is the job's, and outlives this.
  LogReaders(DispatcherContext* context, std::string id, const orch::v1::JobSpec* spec)
      : context_(context), id_(std::move(id)), spec_(spec) {}
  // Of a job that is in the store as `visible`, which has no spec; its next event comes after
  // `last_sequence`.
  void Restore(orch::v1::Job visible, uint64_t last_sequence);

  // New events, not durable yet.
  void Append(const std::vector<JobLog::Event>& events) { log_.Append(events); }
  // The job is in the store as `visible` says: readers that it is news for are answered.
  void OnDurable(orch::v1::Job visible);
  // Calls back when the store has the event, perhaps at once.
  void WhenDurable(uint64_t sequence, std::function<void()> call);

  // Events after `after_sequence`. OutOfRange: beyond `last_sequence`, the log's end; an id that
  // reads already is replaced.
  void Read(uint64_t reader_id, uint64_t after_sequence, uint64_t last_sequence, size_t bytes_max,
            ReadDone done);
  void Forget(uint64_t reader_id) { readers_.erase(reader_id); }
  // Nobody is answered any more.
  void Stop();

  // As of the last durable event, without and with the spec.
  const orch::v1::Job& visible() const { return visible_; }
  orch::v1::Job WithSpec() const;

 private:
  struct Reader {
    uint64_t after;
    size_t bytes_max;
    ReadDone done;
  };
  void Answer(Reader reader);

  DispatcherContext* const context_;
  const std::string id_;
  const orch::v1::JobSpec* const spec_;
  JobLog log_{0};
  orch::v1::Job visible_;                     // without spec
  std::shared_ptr<const orch::v1::Job> end_;  // with it, when the job has ended and somebody reads
  std::map<uint64_t, Reader> readers_;
  std::deque<std::pair<uint64_t, std::function<void()>>> when_durable_;
};

}  // namespace orch::controller
