// SPDX-License-Identifier: Apache-2.0
#include "cli/rejoin.h"

#include <ostream>

#include "absl/time/clock.h"
#include "base/clock.h"

namespace orch::cli {
namespace {

// Before each attempt, so that a controller that answers but can't is not overrun.
constexpr absl::Duration kRejoinPause = absl::Milliseconds(50);
constexpr absl::Duration kReachable = absl::Milliseconds(200);

}  // namespace

bool Rejoin::May(const absl::Status& status, bool known, absl::Duration most,
                 const std::string& what) {
  if (!absl::IsUnavailable(status) && !status.ok()) return false;
  // Nothing was ever there: nobody to wait for.
  if (!known && !lost() && !WasConnected(status)) return false;
  const absl::Duration now = base::SystemClock().Read().steady;
  if (!lost()) {
    lost_since_ = now;
    if (!session_.options.quiet) {
      session_.terminal.err << "the connection was lost; " << what << std::endl;
    }
  }
  return now - *lost_since_ < most;
}

void Rejoin::Await() {
  absl::SleepFor(kRejoinPause);
  connection_.AwaitReachable(kReachable);
}

}  // namespace orch::cli
