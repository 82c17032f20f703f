// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>

namespace orch::controller {

// How many bytes the nodes that are asked for their facts at once may be expected to send.
inline constexpr size_t kFactsAskedBytes = 5 << 20;
// The least and the most nodes that are asked for their facts at once.
inline constexpr size_t kFactsAskedMin = 50;
inline constexpr size_t kFactsAskedMax = 500;

// Says how many nodes to ask for their facts at once: so many that, by the mean size of the facts
// that came lately, kFactsAskedBytes are to be expected. Pure.
class AskPace {
 public:
  // To be called when a node's facts came, with their size in bytes.
  void OnFacts(size_t bytes) { mean_ += (static_cast<double>(bytes) - mean_) / kRemembered; }
  size_t at_once() const {
    const double room = static_cast<double>(kFactsAskedBytes) / std::max(mean_, 1.0);
    return static_cast<size_t>(
        std::clamp(room, static_cast<double>(kFactsAskedMin), static_cast<double>(kFactsAskedMax)));
  }

 private:
  static constexpr double kRemembered = 16;
  double mean_ =
      static_cast<double>(kFactsAskedBytes) / kFactsAskedMin;  // small groups until facts have come
};

}  // namespace orch::controller
