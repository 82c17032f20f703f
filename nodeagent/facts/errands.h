// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>

#include "absl/time/time.h"
#include "base/strand.h"

namespace orch::nodeagent {

// Work that may block, for ever even (a file on a dead network file system), done beside the
// strand: one errand after the other, each on a thread that ends with it. One that is not back
// after kErrandOvertake no longer holds up the next.
//
// Lives on: `strand`.
class Errands {
 public:
  static constexpr absl::Duration kErrandOvertake = absl::Seconds(1);
  static constexpr absl::Duration kErrandLate = absl::Seconds(10);
  // Errands that are not back; as many again wait.
  static constexpr size_t kThreadsMax = 32;

  struct Errand {
    std::function<void()> work;  // on a thread of its own; touches nothing of the strand's
    std::function<void()> done;  // on the strand, when the work has ended
    std::function<void()>
        late;  // on the strand, once, if it has not after kErrandLate; may be null
  };

  explicit Errands(base::Strand strand);
  // Waits for those that are under way.
  ~Errands();
  Errands(const Errands&) = delete;
  Errands& operator=(const Errands&) = delete;

  void Post(Errand errand);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace orch::nodeagent
