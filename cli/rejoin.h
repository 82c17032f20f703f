// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "cli/connection.h"
#include "cli/options.h"

namespace orch::cli {

// How long a lost watch tries to join again before it gives up (what it watches goes on).
inline constexpr absl::Duration kRejoinFor = absl::Seconds(60);

// Decides whether and when a stream that was lost, with the connection or with the controller, is
// asked for again. It tells the operator once for each loss, unless --quiet.
//
// Single-threaded.
class Rejoin {
 public:
  Rejoin(const Session& session, Connection& connection)
      : session_(session), connection_(connection) {}

  // To be called for each message: the connection works.
  void OnMessage() { lost_since_.reset(); }
  // The stream has ended with `status`: whether to ask for it again, for `most` after the loss.
  // `known`: something was heard of what is watched, so there is somebody to wait for. `what` is
  // said after "the connection was lost; ".
  bool May(const absl::Status& status, bool known, absl::Duration most, const std::string& what);
  // Before asking again: waits a moment for the controller.
  void Await();
  bool lost() const { return lost_since_.has_value(); }

 private:
  const Session& session_;
  Connection& connection_;
  std::optional<absl::Duration> lost_since_;  // steady
};

}  // namespace orch::cli
