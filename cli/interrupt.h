// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace orch::cli {

// Counts ^C while it exists; before and after, ^C ends the program as usual. At most one at a time.
class InterruptCounter {
 public:
  InterruptCounter();
  ~InterruptCounter();
  InterruptCounter(const InterruptCounter&) = delete;
  InterruptCounter& operator=(const InterruptCounter&) = delete;
  int count() const;
};

}  // namespace orch::cli
