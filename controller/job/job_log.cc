// SPDX-License-Identifier: Apache-2.0
#include "controller/job/job_log.h"

#include "base/status.h"

namespace orch::controller {

void JobLog::Append(const std::vector<Event>& events) {
  for (const Event& event : events) {
    ORCH_CHECK(event->sequence() == first_ + entries_.size());
    entries_.push_back({event, event->ByteSizeLong()});
  }
}

void JobLog::OnDurable(uint64_t sequence) {
  while (durable_ < sequence) {
    ++durable_;
    durable_bytes_ += entries_[durable_ - first_].bytes;
  }
  while (durable_bytes_ > kJobLogBytesMax && first_ <= durable_) {
    durable_bytes_ -= entries_.front().bytes;
    entries_.pop_front();
    ++first_;
  }
}

std::optional<std::vector<JobLog::Event>> JobLog::Read(uint64_t after, size_t bytes_max) const {
  std::vector<Event> events;
  if (after >= durable_) return events;
  if (after + 1 < first_) return std::nullopt;
  size_t bytes = 0;
  for (uint64_t sequence = after + 1; sequence <= durable_; ++sequence) {
    const Entry& entry = entries_[sequence - first_];
    bytes += entry.bytes;
    if (bytes > bytes_max && !events.empty()) break;
    events.push_back(entry.event);
  }
  return events;
}

}  // namespace orch::controller
