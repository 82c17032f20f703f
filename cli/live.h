// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/time/time.h"
#include "cli/options.h"
#include "cli/tally.h"

// The line that says how far a job is.

namespace orch::cli {

// `███▌      412/1284  running 40  waiting 800  failed 2  silent 1  changed 12  p50 21 s  ETA
// 2m10s` in at most `width` columns: what does not fit is left out, the least important first.
// Pure.
std::string ProgressLine(const Terminal& terminal, const Tally& tally, absl::Duration elapsed,
                         int width);

// One line of a terminal that is written again and again. It is never longer than the terminal is
// wide at that moment; where the terminal was made narrower and the old line broke, all of it is
// taken away.
class LiveLine {
 public:
  explicit LiveLine(std::ostream& out) : out_(out) {}
  void Show(const std::string& line, int width);
  void Clear(int width);
  bool shown() const { return columns_ > 0; }

 private:
  std::string Erase(int width);

  std::ostream& out_;
  size_t columns_ = 0;  // of what stands there; 0: nothing
};

// How wide the terminal behind standard error is now; `otherwise` if it does not say.
int TerminalWidth(int otherwise);

}  // namespace orch::cli
