// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>

#include "absl/container/flat_hash_map.h"

namespace orch::controller {

// Lets each caller have a few calls worked on at a time; the others of the same caller wait here,
// in order, where they delay nobody else's. For calls whose answer is work for the dispatcher's
// strand: a caller with hundreds of pages outstanding is served page after page.
//
// Thread-safe.
class CallShares {
 public:
  struct Limits {
    size_t at_once;
    size_t waiting;  // above it calls are refused
  };
  // Any address that stands for the caller while its calls live.
  using Caller = const void*;

  explicit CallShares(Limits limits) : limits_(limits) {}

  // Runs `start` now, or when the caller's earlier calls have ended; then End is due, once. False:
  // too many wait, and `start` is never run.
  bool Begin(Caller caller, std::function<void()> start);
  // One of the caller's calls has ended. Runs the next one's `start`, here.
  void End(Caller caller);

 private:
  struct Share {
    size_t running = 0;
    std::deque<std::function<void()>> waiting;
  };

  const Limits limits_;
  std::mutex mutex_;
  absl::flat_hash_map<Caller, Share> shares_;  // of callers with calls
};

}  // namespace orch::controller
