// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <set>

#include "base/strand.h"

namespace orch::nodeagent {

// Tells that something happened in directories that are watched through inotify(7), not what: who
// is told looks himself. Where the kernel has no inotify left, it tells every second.
//
// Lives on: `strand`.
class FactWatch {
 public:
  // What happens within it is told once.
  static constexpr absl::Duration kWatchGather = absl::Milliseconds(100);
  static constexpr absl::Duration kWatchPoll = absl::Seconds(1);

  explicit FactWatch(base::Strand strand);
  ~FactWatch();
  FactWatch(const FactWatch&) = delete;
  FactWatch& operator=(const FactWatch&) = delete;

  void Start(std::function<void()> on_change);
  // For inotify_add_watch(2), from any thread; -1: there is none.
  int descriptor() const;
  // Drops the watches that are not among `needed`.
  void Keep(const std::set<int>& needed);
  // Whether to tell every second, because not everything can be watched.
  void SetPolling(bool polling);
  // Why there is no inotify; OK if there is.
  const absl::Status& status() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace orch::nodeagent
