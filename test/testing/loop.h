// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>

namespace orch::testing {

// Runs the loop until `condition` holds. False: it did not hold within ten seconds, or nothing is
// left in the loop that could make it hold.
inline bool RunUntil(boost::asio::io_context* io, const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (io->stopped()) io->restart();
    if (io->run_one_until(end) == 0) return condition();
  }
  return true;
}

// Runs everything that is ready now, without waiting.
inline void RunReady(boost::asio::io_context* io) {
  if (io->stopped()) io->restart();
  io->poll();
}

}  // namespace orch::testing
