// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <set>

#include "base/strand.h"

namespace orch::nodeagent {

// Calls back when something may have changed in the watched directories. It does not say what: the
// caller looks at its files again. Watches are made with inotify(7) on descriptor(). Where the
// kernel has no inotify left, or SetPolling says so, the call comes every kWatchPoll instead.
//
// Lives on: `strand`.
class FactWatch {
 public:
  // Changes within this time are told with one call.
  static constexpr absl::Duration kWatchGather = absl::Milliseconds(100);
  static constexpr absl::Duration kWatchPoll = absl::Seconds(1);

  explicit FactWatch(base::Strand strand);
  ~FactWatch();
  FactWatch(const FactWatch&) = delete;
  FactWatch& operator=(const FactWatch&) = delete;

  void Start(std::function<void()> on_change);
  // The descriptor for inotify_add_watch(2), which may be used from any thread; -1: the kernel gave
  // none.
  int descriptor() const;
  // Removes all watches whose numbers are not in `needed`.
  void Keep(const std::set<int>& needed);
  // With true `on_change` is called every kWatchPoll, for directories that can't be watched.
  void SetPolling(bool polling);
  // OK, or why there is no inotify.
  const absl::Status& status() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace orch::nodeagent
