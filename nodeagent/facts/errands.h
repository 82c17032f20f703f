// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>

#include "absl/time/time.h"
#include "base/strand.h"

namespace orch::nodeagent {

// Runs errands: work that may block, even for ever (reading a file on a dead network file system),
// and must therefore not run on the strand. Each errand has a thread of its own, which ends with
// it.
//
// Errands begin in the order in which they were posted, one after the other; an errand that has not
// ended after kErrandOvertake no longer holds up the next one. At most kThreadsMax are under way;
// further ones wait.
//
// Lives on: `strand`.
class Errands {
 public:
  static constexpr absl::Duration kErrandOvertake = absl::Seconds(1);
  static constexpr absl::Duration kErrandLate = absl::Seconds(10);
  // The most errands that are under way at once.
  static constexpr size_t kThreadsMax = 32;

  struct Errand {
    std::function<void()>
        work;  // runs on its own thread, so it uses nothing that lives on the strand
    std::function<void()> done;  // called on the strand when `work` has ended
    // Called on the strand, once, if `work` has not ended after kErrandLate. May be null.
    std::function<void()> late;
  };

  explicit Errands(base::Strand strand);
  // Waits for the errands that are under way.
  ~Errands();
  Errands(const Errands&) = delete;
  Errands& operator=(const Errands&) = delete;

  void Post(Errand errand);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace orch::nodeagent
