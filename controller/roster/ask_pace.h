// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>

namespace orch::controller {

// What nodes that are asked for their facts at once may send us, in bytes.
inline constexpr size_t kFactsAskedBytes = 5 << 20;
// Nodes asked for their facts at once, at the least and at the most.
inline constexpr size_t kFactsAskedMin = 50;
inline constexpr size_t kFactsAskedMax = 500;

// How many nodes to ask for their facts at once: as many as the sizes of those that came lately let
// expect kFactsAskedBytes of. Pure.
class AskPace {
 public:
  // A node's facts came, of this many bytes.
  void OnFacts(size_t bytes) { mean_ += (static_cast<double>(bytes) - mean_) / kRemembered; }
  size_t at_once() const {
    const double room = static_cast<double>(kFactsAskedBytes) / std::max(mean_, 1.0);
    return static_cast<size_t>(
        std::clamp(room, static_cast<double>(kFactsAskedMin), static_cast<double>(kFactsAskedMax)));
  }

 private:
  static constexpr double kRemembered = 16;
  double mean_ = static_cast<double>(kFactsAskedBytes) / kFactsAskedMin;  // careful at first
};

}  // namespace orch::controller
