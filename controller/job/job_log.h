// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "orch/v1/job.pb.h"

namespace orch::controller {

// Bytes of durable events that a running job keeps in memory; older ones are read from the store.
inline constexpr size_t kJobLogBytesMax = 4 << 20;

// The newest part of a running job's log. Readers see what is durable and nothing else.
//
// Pure. Lives on: the dispatcher's strand.
class JobLog {
 public:
  using Event = std::shared_ptr<const orch::v1::JobEvent>;

  // Events up to `stored` are in the store already, and only there.
  explicit JobLog(uint64_t stored) : durable_(stored), first_(stored + 1) {}

  // In order and without gaps; not visible yet.
  void Append(const std::vector<Event>& events);
  // Events up to `sequence` are in the store.
  void OnDurable(uint64_t sequence);
  uint64_t durable() const { return durable_; }
  // Durable events after `after`: at least one if there is one, and at most about `bytes_max`.
  // Nullopt: the first of them is not here any more.
  std::optional<std::vector<Event>> Read(uint64_t after, size_t bytes_max) const;

 private:
  struct Entry {
    Event event;
    size_t bytes;
  };
  std::deque<Entry> entries_;
  uint64_t durable_;
  uint64_t first_;  // the sequence number of entries_[0]
  size_t durable_bytes_ = 0;
};

}  // namespace orch::controller
